namespace Lamina.Machine.Interrupts;

/// <summary>A flag in guest memory that a guest takes down to end an interrupt, instead of writing a register. On the processor's own thread, or while it stands still.</summary>
public interface IEndOfInterruptFlag
{
    /// <summary>Puts the flag up.</summary>
    /// <returns><c>false</c> if the guest has none: it ends the interrupt by the register.</returns>
    bool TryRaise();

    /// <summary>Takes the flag down.</summary>
    /// <returns>Whether it was still up. Otherwise the guest took it down, and has ended the interrupt by that.</returns>
    bool Lower();
}
