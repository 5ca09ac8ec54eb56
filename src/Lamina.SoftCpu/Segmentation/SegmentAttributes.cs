namespace Lamina.SoftCpu.Segmentation;

/// <summary>Segment attributes that instructions set without a descriptor, as <see cref="Memory.SegmentCache.Attributes"/> holds them.</summary>
internal static class SegmentAttributes
{
    /// <summary>Writable data, present, DPL 0.</summary>
    public const uint RealMode = 0x93;

    /// <summary>Writable data, present, DPL 3.</summary>
    public const uint Virtual8086 = 0xf3;

    /// <summary>64-bit code, DPL 0.</summary>
    public const uint LongCode = 0xa09b;

    /// <summary>32-bit code, DPL 0.</summary>
    public const uint FlatCode = 0xc09b;

    /// <summary>32-bit writable data, DPL 0.</summary>
    public const uint FlatData = 0xc093;

    /// <summary>To be OR-ed in: DPL 3.</summary>
    public const uint User = 0x60;
}
