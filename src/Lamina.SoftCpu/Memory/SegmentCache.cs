using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Memory;

/// <summary>A segment register with its hidden part. Attributes are laid out as in <see cref="Machine.Processors.SegmentState"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SegmentCache
{
    /// <summary>Base.</summary>
    public ulong Base;

    /// <summary>Last valid offset in bytes.</summary>
    public uint Limit;

    /// <summary>Type, S, DPL, P in bits 7:0; AVL, L, D/B, G in bits 15:12; bit 16 unusable.</summary>
    public uint Attributes;

    /// <summary>Selector.</summary>
    public ushort Selector;

    /// <summary>Bit 16: the register holds a null or unusable segment.</summary>
    public const uint Unusable = 0x1_0000;

    /// <summary>Bits 3:0.</summary>
    public readonly uint Type => Attributes & 15;

    /// <summary>Descriptor privilege level.</summary>
    public readonly byte Dpl => (byte)((Attributes >> 5) & 3);

    /// <summary>Present and loaded.</summary>
    public readonly bool IsUsable => (Attributes & (Unusable | 0x80)) == 0x80;

    /// <summary>S and the executable bit.</summary>
    public readonly bool IsCode => (Attributes & 0x18) == 0x18;

    /// <summary>Default operation size.</summary>
    public readonly bool IsBig => (Attributes & 0x4000) != 0;

    /// <summary>64-bit code.</summary>
    public readonly bool IsLong => (Attributes & 0x2000) != 0;
}

/// <summary>ES, CS, SS, DS, FS, GS in encoding order.</summary>
[InlineArray(6)]
internal struct SegmentCaches
{
    private SegmentCache _first;
}
