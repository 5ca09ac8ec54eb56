namespace Lamina.Interop.Isolation;

/// <summary>A condition on an argument of a system call: its low 32 bits, masked, are a value.</summary>
/// <param name="Index">Which argument, from 0.</param>
/// <param name="Mask">The bits that matter.</param>
/// <param name="Value">What they are.</param>
public readonly record struct ArgumentCheck(int Index, uint Mask, uint Value);
