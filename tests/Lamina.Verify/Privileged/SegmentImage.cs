using System.Globalization;

namespace Lamina.Verify.Privileged;

/// <summary>A segment register with its hidden part.</summary>
/// <param name="Selector">Selector.</param>
/// <param name="Base">Base.</param>
/// <param name="Limit">Last valid offset in bytes, or the last invalid one where it expands downwards.</param>
/// <param name="Attributes">Type, S, DPL, P in bits 7:0; AVL, L, D/B, G in bits 15:12; bit 16 unusable.</param>
internal readonly record struct SegmentImage(ushort Selector, ulong Base, uint Limit, uint Attributes)
{
    public const uint Unusable = 0x1_0000;

    public bool IsUsable => (Attributes & (Unusable | 0x80)) == 0x80;

    public bool IsCode => (Attributes & 0x18) == 0x18;

    public bool IsConforming => (Attributes & 0x1c) == 0x1c;

    public bool IsExpandDown => (Attributes & 0x1c) == 0x14;

    /// <summary>Writable data, or readable code.</summary>
    public bool HasSecondRight => (Attributes & 2) != 0;

    public bool IsBig => (Attributes & 0x4000) != 0;

    public bool IsLong => (Attributes & 0x2000) != 0;

    public int Dpl => (int)(Attributes >> 5) & 3;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Selector:x}:{Base:x}/{Limit:x}/{Attributes:x}");
}
