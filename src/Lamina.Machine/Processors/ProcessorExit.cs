namespace Lamina.Machine.Processors;

/// <summary>Why <see cref="IVirtualProcessor.Run"/> returned.</summary>
/// <param name="Reason">The reason.</param>
/// <param name="Detail">For <see cref="ProcessorExitReason.Failed"/>: what failed, for a person. Otherwise null.</param>
public readonly record struct ProcessorExit(ProcessorExitReason Reason, string? Detail = null);
