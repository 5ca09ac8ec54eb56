namespace Lamina.SoftCpu.Segmentation;

/// <summary>The low eight bytes of a segment or gate descriptor (Intel SDM volume 3, sections 3.4.5, 3.5 and 6.11).</summary>
internal readonly struct Descriptor(ulong value)
{
    private const ulong LongBit = 1UL << 53;
    private const ulong BigBit = 1UL << 54;

    public ulong Value => value;

    /// <summary>Segment base (32 bits).</summary>
    public uint Base => (uint)((value >> 16) & 0xff_ffff) | ((uint)(value >> 32) & 0xff00_0000);

    /// <summary>Last valid offset in bytes.</summary>
    public uint Limit
    {
        get
        {
            uint raw = (uint)(value & 0xffff) | ((uint)(value >> 32) & 0xf_0000);
            return (value & (1UL << 55)) != 0 ? (raw << 12) | 0xfff : raw;
        }
    }

    /// <summary>As <see cref="Memory.SegmentCache.Attributes"/> holds them.</summary>
    public uint Attributes => (uint)(value >> 40) & 0xf0ff;

    /// <summary>Type, without S.</summary>
    public uint Type => (uint)(value >> 40) & 15;

    /// <summary>Type of a system descriptor; of a code or data descriptor, 16 or more.</summary>
    public uint SystemType => (uint)(value >> 40) & 31;

    public byte Dpl => (byte)((value >> 45) & 3);

    public bool IsPresent => (value & (1UL << 47)) != 0;

    /// <summary>Code or data, not a gate, TSS or LDT.</summary>
    public bool IsSegment => (value & (1UL << 44)) != 0;

    public bool IsCode => (value & (0x18UL << 40)) == 0x18UL << 40;

    /// <summary>A code segment that runs at its caller's privilege.</summary>
    public bool IsConforming => (value & (0x1cUL << 40)) == 0x1cUL << 40;

    public bool IsWritableData => (value & (0x1aUL << 40)) == 0x12UL << 40;

    /// <summary>Data, or code that can be read.</summary>
    public bool IsReadable => IsSegment && (value & (0xaUL << 40)) != 8UL << 40;

    public bool IsLong => (value & LongBit) != 0;

    public bool IsBig => (value & BigBit) != 0;

    /// <summary>Code that only 64-bit mode runs, with the D bit that it must have clear.</summary>
    public bool IsLongCode => IsCode && (value & (LongBit | BigBit)) == LongBit;

    /// <summary>The reserved combination of L and D.</summary>
    public bool IsLongAndBig => (value & (LongBit | BigBit)) == (LongBit | BigBit);

    public ushort GateSelector => (ushort)(value >> 16);

    /// <summary>Entry point of a gate: bits 31:0 of it.</summary>
    public uint GateOffset => (uint)(value & 0xffff) | ((uint)(value >> 32) & 0xffff_0000);

    /// <summary>Parameters that a call gate copies.</summary>
    public int GateParameters => (int)(value >> 32) & 31;

    /// <summary>Interrupt stack table index of a gate in long mode.</summary>
    public int GateStack => (int)(value >> 32) & 7;
}
