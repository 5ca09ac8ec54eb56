namespace Lamina.Machine.Interrupts;

/// <summary>A local interrupt controller whose interrupts can be ended by a flag in guest memory.</summary>
public interface IFlaggedEndOfInterrupt
{
    /// <summary>Connects the flag, which is put up with each interrupt that needs no more than its end. Before the processor runs.</summary>
    void Connect(IEndOfInterruptFlag flag);
}
