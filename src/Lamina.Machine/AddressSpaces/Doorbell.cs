namespace Lamina.Machine.AddressSpaces;

/// <summary>
/// A register of a window to which a write means only "look": the value is of no interest, and nobody waits for the effect. An accelerator may take such
/// a write itself and ring later, on another thread; otherwise the write comes to the window like any other, and rings there.
/// </summary>
/// <param name="Offset">From the start of the window.</param>
/// <param name="Length">Width of the write in bytes.</param>
/// <param name="Target">Who is rung.</param>
/// <param name="Number">Which of the target's doorbells it is.</param>
public readonly record struct Doorbell(ulong Offset, int Length, IDoorbellTarget Target, int Number);
