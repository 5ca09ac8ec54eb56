using Lamina.Machine.Processors;

namespace Lamina.SoftCpu;

/// <summary>The CPUID answers of one processor (Intel SDM volume 2, CPUID).</summary>
internal sealed class CpuidTable
{
    private readonly CpuidEntry[] _entries;
    private readonly uint _maximumBasic;
    private readonly uint _maximumExtended;

    public CpuidTable(IReadOnlyList<CpuidEntry> entries)
    {
        _entries = [.. entries];
        foreach (CpuidEntry entry in _entries)
        {
            if (entry.Leaf < 0x4000_0000)
            {
                _maximumBasic = Math.Max(_maximumBasic, entry.Leaf);
            }
            else if (entry.Leaf >= 0x8000_0000)
            {
                _maximumExtended = Math.Max(_maximumExtended, entry.Leaf);
            }
        }
    }

    /// <summary>Finds an answer. A leaf above the range answers as the highest basic leaf does.</summary>
    public CpuidEntry Get(uint leaf, uint subleaf)
    {
        bool inRange = leaf <= _maximumBasic || (leaf >= 0x4000_0000 && leaf < 0x4001_0000) || (leaf >= 0x8000_0000 && leaf <= _maximumExtended);
        return Find(inRange ? leaf : _maximumBasic, subleaf);
    }

    /// <summary>The instruction-set extensions that a table offers.</summary>
    public static ProcessorFeatures GetFeatures(IReadOnlyList<CpuidEntry> entries)
    {
        CpuidTable table = new(entries);
        ProcessorFeatures features = ProcessorFeatures.None;
        foreach ((uint leaf, uint subleaf, char register, int bit, ProcessorFeatures feature) in FeatureBits)
        {
            CpuidEntry entry = table.Find(leaf, subleaf);
            uint value = register switch { 'a' => entry.Eax, 'b' => entry.Ebx, 'c' => entry.Ecx, _ => entry.Edx };
            if (((value >> bit) & 1) != 0)
            {
                features |= feature;
            }
        }

        return features;
    }

    /// <summary>Where CPUID tells each extension.</summary>
    public static readonly (uint Leaf, uint Subleaf, char Register, int Bit, ProcessorFeatures Feature)[] FeatureBits =
    [
        (1, 0, 'd', 0, ProcessorFeatures.Fpu),
        (1, 0, 'd', 4, ProcessorFeatures.Tsc),
        (1, 0, 'd', 5, ProcessorFeatures.Msr),
        (1, 0, 'd', 7, ProcessorFeatures.Mce),
        (1, 0, 'd', 8, ProcessorFeatures.CmpXchg8B),
        (1, 0, 'd', 11, ProcessorFeatures.Sysenter),
        (1, 0, 'd', 12, ProcessorFeatures.Mtrr),
        (1, 0, 'd', 15, ProcessorFeatures.Cmov),
        (1, 0, 'd', 16, ProcessorFeatures.Pat),
        (1, 0, 'd', 19, ProcessorFeatures.ClFlush),
        (1, 0, 'd', 23, ProcessorFeatures.Mmx),
        (1, 0, 'd', 24, ProcessorFeatures.Fxsr),
        (1, 0, 'd', 25, ProcessorFeatures.Sse),
        (1, 0, 'd', 26, ProcessorFeatures.Sse2),
        (1, 0, 'c', 0, ProcessorFeatures.Sse3),
        (1, 0, 'c', 1, ProcessorFeatures.Pclmulqdq),
        (1, 0, 'c', 9, ProcessorFeatures.Ssse3),
        (1, 0, 'c', 12, ProcessorFeatures.Fma),
        (1, 0, 'c', 13, ProcessorFeatures.CmpXchg16B),
        (1, 0, 'c', 17, ProcessorFeatures.Pcid),
        (1, 0, 'c', 19, ProcessorFeatures.Sse41),
        (1, 0, 'c', 20, ProcessorFeatures.Sse42),
        (1, 0, 'c', 21, ProcessorFeatures.X2Apic),
        (1, 0, 'c', 22, ProcessorFeatures.Movbe),
        (1, 0, 'c', 23, ProcessorFeatures.Popcnt),
        (1, 0, 'c', 24, ProcessorFeatures.TscDeadline),
        (1, 0, 'c', 25, ProcessorFeatures.Aes),
        (1, 0, 'c', 26, ProcessorFeatures.Xsave),
        (1, 0, 'c', 28, ProcessorFeatures.Avx),
        (1, 0, 'c', 29, ProcessorFeatures.F16C),
        (1, 0, 'c', 30, ProcessorFeatures.Rdrand),
        (7, 0, 'b', 0, ProcessorFeatures.FsGsBase),
        (7, 0, 'b', 1, ProcessorFeatures.TscAdjust),
        (7, 0, 'b', 3, ProcessorFeatures.Bmi1),
        (7, 0, 'b', 5, ProcessorFeatures.Avx2),
        (7, 0, 'b', 7, ProcessorFeatures.Smep),
        (7, 0, 'b', 8, ProcessorFeatures.Bmi2),
        (7, 0, 'b', 10, ProcessorFeatures.Invpcid),
        (7, 0, 'b', 18, ProcessorFeatures.Rdseed),
        (7, 0, 'b', 19, ProcessorFeatures.Adx),
        (7, 0, 'b', 20, ProcessorFeatures.Smap),
        (7, 0, 'b', 23, ProcessorFeatures.ClFlushOpt),
        (7, 0, 'b', 24, ProcessorFeatures.Clwb),
        (7, 0, 'b', 29, ProcessorFeatures.Sha),
        (7, 0, 'c', 2, ProcessorFeatures.Umip),
        (7, 0, 'c', 22, ProcessorFeatures.Rdpid),
        (7, 0, 'd', 14, ProcessorFeatures.Serialize),
        (7, 0, 'd', 26, ProcessorFeatures.SpecCtrl),
        (7, 0, 'd', 29, ProcessorFeatures.ArchCapabilities),
        (0xd, 1, 'a', 0, ProcessorFeatures.XsaveOpt),
        (0xd, 1, 'a', 1, ProcessorFeatures.XsaveC),
        (0xd, 1, 'a', 2, ProcessorFeatures.Xgetbv1),
        (0x8000_0001, 0, 'c', 0, ProcessorFeatures.LahfLm),
        (0x8000_0001, 0, 'c', 5, ProcessorFeatures.Lzcnt),
        (0x8000_0001, 0, 'c', 8, ProcessorFeatures.PrefetchW),
        (0x8000_0001, 0, 'd', 11, ProcessorFeatures.Syscall),
        (0x8000_0001, 0, 'd', 20, ProcessorFeatures.Nx),
        (0x8000_0001, 0, 'd', 26, ProcessorFeatures.Page1G),
        (0x8000_0001, 0, 'd', 27, ProcessorFeatures.Rdtscp),
        (0x8000_0001, 0, 'd', 29, ProcessorFeatures.LongMode),
    ];

    private CpuidEntry Find(uint leaf, uint subleaf)
    {
        foreach (CpuidEntry entry in _entries)
        {
            if (entry.Leaf == leaf && (entry.Subleaf == subleaf || entry.Subleaf == CpuidEntry.AnySubleaf))
            {
                return entry;
            }
        }

        return new CpuidEntry(leaf, subleaf, 0, 0, leaf == 0xb ? subleaf & 0xff : 0, 0);
    }
}
