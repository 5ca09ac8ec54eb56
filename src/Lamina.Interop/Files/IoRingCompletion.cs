namespace Lamina.Interop.Files;

/// <summary>The end of a request in a ring.</summary>
/// <param name="Slot">Its number.</param>
/// <param name="Result">The number of bytes, or a negative errno value.</param>
public readonly record struct IoRingCompletion(int Slot, int Result);
