namespace Lamina.Verify.Privileged;

/// <summary>Eight bytes of a descriptor table (Intel SDM volume 3, figures 3-8 and 6-2; AMD APM volume 2, section 4.7).</summary>
internal readonly struct DescriptorImage(ulong value)
{
    public const int Task16 = 1;
    public const int LocalTable = 2;
    public const int CallGate16 = 4;
    public const int TaskGate = 5;
    public const int InterruptGate16 = 6;
    public const int TrapGate16 = 7;
    public const int Task32 = 9;
    public const int CallGate32 = 12;
    public const int InterruptGate32 = 14;
    public const int TrapGate32 = 15;
    public const int Busy = 2;

    public ulong Value => value;

    public uint Base => (uint)(((value >> 16) & 0xff_ffff) | ((value >> 56) << 24));

    public uint Limit
    {
        get
        {
            uint limit = (uint)((value & 0xffff) | ((value >> 32) & 0xf_0000));
            return ((value >> 55) & 1) != 0 ? (limit << 12) | 0xfff : limit;
        }
    }

    public uint Attributes => (uint)(value >> 40) & 0xf0ff;

    public int Type => (int)(value >> 40) & 15;

    /// <summary>S: code or data.</summary>
    public bool IsSegment => ((value >> 44) & 1) != 0;

    public int Dpl => (int)(value >> 45) & 3;

    public bool IsPresent => ((value >> 47) & 1) != 0;

    public bool IsLong => ((value >> 53) & 1) != 0;

    public bool IsBig => ((value >> 54) & 1) != 0;

    public bool IsCode => IsSegment && (Type & 8) != 0;

    public bool IsConforming => IsCode && (Type & 4) != 0;

    public bool IsWritable => IsSegment && (Type & 10) == 2;

    public bool IsReadable => IsSegment && (Type & 10) != 8;

    public ushort GateSelector => (ushort)(value >> 16);

    public uint GateOffset => (uint)((value & 0xffff) | ((value >> 48) << 16));

    public int GateParameters => (int)(value >> 32) & 31;

    public int GateStack => (int)(value >> 32) & 7;

    /// <summary>What a segment register holds then: the descriptor, accessed.</summary>
    public SegmentImage ToSegment(ushort selector) => new(selector, Base, Limit, Attributes | (IsSegment ? 1u : 0));
}
