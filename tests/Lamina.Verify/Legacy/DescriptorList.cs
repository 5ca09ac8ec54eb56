namespace Lamina.Verify.Legacy;

/// <summary>The descriptor table that 16- and 32-bit cases find: one of each kind that a load of a segment register tells apart.</summary>
internal static class DescriptorList
{
    /// <summary>Descriptors as they are in memory (Intel SDM volume 3, section 3.4.5). The second is the code of the exceptions' handlers.</summary>
    public static ReadOnlySpan<ulong> All =>
    [
        0,
        0x00af_9b00_0000_ffff,

        // Data of DPL 3: 4 GiB accessed, 4 GiB not accessed, read-only, expand-down of 16 and 32 bits, small with a base.
        0x00cf_f300_0000_ffff,
        0x00cf_f200_0000_ffff,
        0x20c1_f100_2000_1234,
        0x2000_f600_2000_0fff,
        0x20c0_f600_2000_0003,
        0x2000_f220_1fff_5678,

        // Not present, of DPL 0, of DPL 1.
        0x00cf_7200_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_b300_0000_ffff,

        // Code: readable, not readable, conforming and readable, of DPL 3, 3, and 0.
        0x00cf_fa00_0000_ffff,
        0x00cf_f800_0000_ffff,
        0x00cf_9e00_0000_ffff,

        // A task state segment and a call gate, which are no segments.
        0x0000_e900_7000_0067,
        0x0000_ec00_0008_0000,
    ];

    /// <summary>
    /// The local descriptor table behind the six entries of the segment registers: data of 4 GiB, read-only, expand-down of 16 and 32 bits, small with a base; not present; code that is readable, not
    /// readable, conforming and not present. All are accessed and of DPL 3, as a host gives its programs.
    /// </summary>
    public static ReadOnlySpan<ulong> Local =>
    [
        0x00cf_f300_0000_ffff,
        0x20c1_f100_2000_1234,
        0x2000_f700_2000_0fff,
        0x20c0_f700_2000_0003,
        0x2000_f320_1fff_5678,
        0x00cf_7300_0000_ffff,
        0x00cf_fb00_0000_ffff,
        0x00cf_f900_0000_ffff,
        0x00cf_7f00_0000_ffff,
    ];

    /// <summary>Entries of the local descriptor table.</summary>
    public const int LocalCount = SegmentValues.Count + 9;

    /// <summary>Selector of the entry that a segment register has in the local table.</summary>
    public static ushort Own(int segment) => (ushort)((segment << 3) | 7);

    /// <summary>The local descriptor table of a case.</summary>
    public static ulong GetLocal(in SegmentValues segments, int index) =>
        index >= SegmentValues.Count ? Local[index - SegmentValues.Count] : (segments[index].Attributes & SegmentValue.Unusable) != 0 ? 0 : Encode(segments[index]);

    /// <summary>A segment as its descriptor.</summary>
    public static ulong Encode(in SegmentValue segment)
    {
        const uint largest = 0xf_ffff;
        const uint granular = 0x8000;
        bool pages = segment.Limit > largest;
        uint limit = pages ? segment.Limit >> 12 : segment.Limit;
        uint attributes = (segment.Attributes & 0x70ff) | (pages ? granular : 0);
        return (limit & 0xffff) | ((ulong)(segment.Base & 0xff_ffff) << 16) | ((ulong)attributes << 40) | ((ulong)(limit & 0xf_0000) << 32) | ((ulong)(segment.Base >> 24) << 56);
    }

    /// <summary>Whether a descriptor has the limit exactly.</summary>
    public static bool IsExact(in SegmentValue segment)
    {
        const uint largest = 0xf_ffff;
        const uint page = 0xfff;
        return segment.Limit <= largest || (segment.Limit & page) == page;
    }
}
