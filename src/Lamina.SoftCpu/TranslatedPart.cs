namespace Lamina.SoftCpu;

/// <summary>One of the blocks of a <see cref="TranslatedBlock"/>.</summary>
/// <param name="Rip">Guest address.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct TranslatedPart(ulong Rip, int Length);
