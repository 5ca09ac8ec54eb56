namespace Lamina.Machine.Interrupts;

/// <summary>A local interrupt controller whose interrupts can be ended by a flag in guest memory.</summary>
public interface IFlaggedEndOfInterrupt
{
    /// <summary>Connects the flag, which is put up with each interrupt that needs no more than its end. Before the processor runs.</summary>
    void Connect(IEndOfInterruptFlag flag);

    /// <summary>
    /// Takes the flag down if it is up, because the guest moves it or has none any more: what it has ended by it has ended, and of the rest it tells. On the processor's own thread, without a lock of the flag's
    /// owner.
    /// </summary>
    void Settle();
}
