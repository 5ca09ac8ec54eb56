namespace Lamina.Personalities.HyperV.Memory;

/// <summary>Messages of dynamic memory (Linux, drivers/hv/hv_balloon.c, enum dm_message_type).</summary>
internal enum DynamicMemoryMessage : ushort
{
    VersionRequest = 1,
    VersionResponse = 2,
    CapabilitiesReport = 3,
    CapabilitiesResponse = 4,
    StatusReport = 5,
    BalloonRequest = 6,
    BalloonResponse = 7,
    UnballoonRequest = 8,
    UnballoonResponse = 9,
    HotAddRequest = 10,
    HotAddResponse = 11,
}
