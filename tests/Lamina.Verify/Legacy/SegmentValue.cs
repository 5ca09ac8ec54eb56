namespace Lamina.Verify.Legacy;

/// <summary>A segment register with its hidden part.</summary>
/// <param name="Selector">Selector.</param>
/// <param name="Base">Base.</param>
/// <param name="Limit">Last valid offset in bytes, or the last invalid one where it expands downwards.</param>
/// <param name="Attributes">Type, S, DPL, P in bits 7:0; AVL, L, D/B, G in bits 15:12; bit 16 unusable.</param>
internal readonly record struct SegmentValue(ushort Selector, uint Base, uint Limit, uint Attributes)
{
    public const uint Unusable = 0x1_0000;
    public const uint Big = 0x4000;
    public const uint Code = 8;
    public const uint ExpandDown = 4;
    public const uint WritableOrReadable = 2;
    public const uint Accessed = 1;
    public const uint Present = 0x80;

    /// <summary>Data of the whole address space: the third of <see cref="DescriptorList"/>.</summary>
    public static SegmentValue Flat => new(0x13, 0, uint.MaxValue, 0xc0f3);

    /// <summary>The whole of the address space, from zero.</summary>
    public bool IsFlat => Base == 0 && Limit == uint.MaxValue && (Attributes & (Unusable | Present | Code | ExpandDown | WritableOrReadable)) == (Present | WritableOrReadable);
}
