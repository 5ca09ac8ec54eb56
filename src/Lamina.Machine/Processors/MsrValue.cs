namespace Lamina.Machine.Processors;

/// <summary>A model-specific register and its value.</summary>
public readonly record struct MsrValue(uint Index, ulong Value);
