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
}
