using Lamina.Machine.Backends;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>
/// A device behind a channel that is offered on demand, one connection at a time, and whose packets are parts of a stream of bytes (a VMBus pipe in byte mode). Its data is taken from and put into the rings
/// where it lies. All members are called with the bus's lock held.
/// </summary>
internal interface IVmBusStream : IVmBusDevice
{
    /// <summary>Whether the connection that is offered is the host's.</summary>
    bool IsFromHost { get; }

    /// <summary>Takes bytes of the guest's.</summary>
    /// <param name="pieces">Where they are in its ring; they may change at any time.</param>
    /// <param name="length">How many; 0 for the end of the stream.</param>
    void OnData(ReadOnlySpan<GuestBuffer> pieces, uint length);

    /// <summary>The guest knows of the channel no more: there can be another connection.</summary>
    void OnReleased();
}
