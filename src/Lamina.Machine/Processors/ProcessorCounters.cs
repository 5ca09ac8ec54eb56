namespace Lamina.Machine.Processors;

/// <summary>What an accelerator that leaves guest code to hardware or kernel counts.</summary>
/// <param name="Exits">Returns from guest code.</param>
/// <param name="AssistedInstructions">Instructions that the interpreter executed in its place.</param>
/// <param name="PortExits">Of the returns, those for a port.</param>
/// <param name="MmioExits">Those for a memory-mapped register.</param>
/// <param name="MsrExits">Those for a model-specific register.</param>
/// <param name="HaltExits">Those for HLT.</param>
public readonly record struct ProcessorCounters(ulong Exits, ulong AssistedInstructions, ulong PortExits = 0, ulong MmioExits = 0, ulong MsrExits = 0, ulong HaltExits = 0);
