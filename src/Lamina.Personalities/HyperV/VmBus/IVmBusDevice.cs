namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A device behind a channel. All members are called with the bus's lock held.</summary>
internal interface IVmBusDevice
{
    /// <summary>The kind of device.</summary>
    Guid InterfaceType { get; }

    /// <summary>Which one of its kind.</summary>
    Guid InstanceId { get; }

    /// <summary>Whether it can take a packet. If it cannot, it has the channel look again later.</summary>
    bool IsReady { get; }

    /// <summary>The guest has opened the channel.</summary>
    void OnOpened(VmBusChannel channel);

    /// <summary>Takes a packet, which was copied.</summary>
    void OnPacket(in VmBusPacket packet);

    /// <summary>There may be room in the ring again.</summary>
    void OnRoom();

    /// <summary>The channel is closed: nothing may be written to it any more.</summary>
    void OnClosed();

    /// <summary>Waits until nothing is under way. Without the lock.</summary>
    void Drain();
}
