namespace Lamina.Machine.Processors;

/// <summary>What an accelerator that leaves guest code to hardware or kernel counts.</summary>
/// <param name="Exits">Returns from guest code.</param>
/// <param name="AssistedInstructions">Instructions that the interpreter executed in its place.</param>
public readonly record struct ProcessorCounters(ulong Exits, ulong AssistedInstructions);
