using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Xen.Interrupts;

/// <summary>Where the messages of devices go: those that name a physical interrupt to its channel, the others to <paramref name="controllers"/>.</summary>
internal sealed class PhysicalMessages(PhysicalInterrupts physical, IMessageInterruptSink controllers) : IMessageInterruptSink
{
    /// <inheritdoc/>
    public bool IgnoresMask(ulong address, uint data) => PhysicalInterrupts.GetNumber(address, data) != 0 || controllers.IgnoresMask(address, data);

    /// <inheritdoc/>
    public void Send(ulong address, uint data)
    {
        if (!physical.TryTake(address, data))
        {
            controllers.Send(address, data);
        }
    }
}
