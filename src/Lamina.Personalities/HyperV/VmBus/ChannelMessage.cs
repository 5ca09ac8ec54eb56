namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>Messages of the bus (Linux, include/linux/hyperv.h, enum vmbus_channel_message_type).</summary>
internal enum ChannelMessage : uint
{
    OfferChannel = 1,
    RescindOffer = 2,
    RequestOffers = 3,
    AllOffersDelivered = 4,
    OpenChannel = 5,
    OpenChannelResult = 6,
    CloseChannel = 7,
    GpadlHeader = 8,
    GpadlBody = 9,
    GpadlCreated = 10,
    GpadlTeardown = 11,
    GpadlTorndown = 12,
    RelidReleased = 13,
    InitiateContact = 14,
    VersionResponse = 15,
    Unload = 16,
    UnloadResponse = 17,
    ConnectRequest = 21,
    ModifyChannel = 22,
    ConnectResult = 23,
    ModifyChannelResponse = 24,
}
