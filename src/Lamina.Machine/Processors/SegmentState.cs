namespace Lamina.Machine.Processors;

/// <summary>A segment register with its hidden part (Intel SDM volume 3, section 3.4.3).</summary>
/// <param name="Selector">Visible selector.</param>
/// <param name="Base">Linear base address.</param>
/// <param name="Limit">Last valid offset, in bytes (granularity already applied).</param>
/// <param name="Attributes">Bits 7:0 are descriptor bits 47:40 (type, S, DPL, P); bits 15:12 are descriptor bits 55:52 (AVL, L, D/B, G); bit 16 marks an unusable segment.</param>
public readonly record struct SegmentState(ushort Selector, ulong Base, uint Limit, uint Attributes);
