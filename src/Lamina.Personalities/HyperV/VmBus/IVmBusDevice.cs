using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A device behind a channel. All members are called with the bus's lock held unless they say otherwise.</summary>
internal interface IVmBusDevice
{
    /// <summary>The key of its saved state.</summary>
    string Name { get; }

    /// <summary>The kind of device.</summary>
    Guid InterfaceType { get; }

    /// <summary>Which one of its kind.</summary>
    Guid InstanceId { get; }

    /// <summary>How many pages a driver lists for its rings and buffers at most.</summary>
    int PageQuota { get; }

    /// <summary>How many more channels a driver may open beside the first.</summary>
    int SubChannelCount { get; }

    /// <summary>How many pages a driver lists for the rings of each of those at most.</summary>
    int SubChannelPages { get; }

    /// <summary>Whether its packets are messages of a pipe.</summary>
    bool IsPipe { get; }

    /// <summary>Whether it can take a packet. If it cannot, it has the channel look again later.</summary>
    bool IsReady { get; }

    /// <summary>The machine begins to run. Without the lock.</summary>
    void OnStarted();

    /// <summary>The machine stands still: nothing may touch guest memory any more. Without the lock.</summary>
    void OnStopping();

    /// <summary>The guest has opened the channel, or a sub-channel of its.</summary>
    void OnOpened(VmBusChannel channel);

    /// <summary>Takes a packet, which was copied.</summary>
    void OnPacket(VmBusChannel channel, in VmBusPacket packet);

    /// <summary>There may be room in the ring again.</summary>
    void OnRoom();

    /// <summary>Packets were looked for. Without the lock.</summary>
    void OnProcessed();

    /// <summary>The channel, or a sub-channel, is closed: nothing may be written to it any more. Sub-channels are closed before their channel is.</summary>
    void OnClosed(VmBusChannel channel);

    /// <summary>Waits until nothing is under way. Without the lock.</summary>
    void Drain();

    /// <summary>Writes what the bus does not know of it. While nothing runs and nothing is under way. Without the lock.</summary>
    void Save(IStateWriter state);

    /// <summary>Takes such state back, which is hostile, after the bus has opened the channels that were open.</summary>
    /// <returns><c>false</c> if it cannot be a state of this device with these channels; then it is as if its channels had just been opened.</returns>
    bool Restore(IStateReader state);
}
