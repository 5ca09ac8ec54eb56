namespace Lamina.Machine.Personalities;

/// <summary>What a processor does after a hypercall.</summary>
public enum GuestCallEnd
{
    /// <summary>It goes on behind the instruction.</summary>
    GoOn,

    /// <summary>It halts before the instruction, and executes it again after an interrupt or a kick. The registers are as they were.</summary>
    Repeat,

    /// <summary>It executes the instruction again at once, with the registers as the call has left them: the rest of what was asked for. What waits for the processor comes between.</summary>
    Continue,

    /// <summary>It halts behind the instruction, until a kick or an interrupt comes. Unlike HLT, one that comes while interrupts are masked ends this, too; so does saving the processor's state.</summary>
    Halt,
}
