using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Cpu;

/// <summary>Writes the CPUID leaves of a model (Intel SDM volume 2, CPUID). The hypervisor's range is not the model's.</summary>
internal sealed class CpuidTable(CpuModel model, int processorCount, ulong tscFrequency, int physicalAddressBits)
{
    /// <summary>The crystal that is chosen wherever possible, in Hz.</summary>
    internal const ulong PreferredCrystal = 1_000_000_000;

    private const uint Any = CpuidEntry.AnySubleaf;
    private const uint MaximumBasicLeaf = 0x16;
    private const uint MaximumExtendedLeaf = 0x8000_0008;

    // Family 6, model 144, stepping 8: no processor has this number. None is on an operating system's list of weak ones by it, and no program takes it for one
    // that has more than CPUID says: GCC's target_clones choose by the model alone.
    private const uint Signature = 0x0009_0608;

    private const uint OneLineInBytes = 64;
    private const uint VirtualAddressBits = 48;
    private const uint ThreadsPerCore = 1;
    private const uint StandardAreaSize = 576;
    private const uint AvxAreaSize = 256;

    private readonly List<CpuidEntry> _entries = [];
    private readonly int _coreBits = BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)processorCount));

    internal IReadOnlyList<CpuidEntry> Build()
    {
        AddIdentity();
        AddCaches();
        AddFeatures();
        AddTopology();
        AddExtendedStates();
        AddFrequencies();
        AddExtended();
        return _entries;
    }

    /// <summary>
    /// Picks the crystal clock and the ratio of the time-stamp counter to it. The crystal feeds the local APIC timers, and KVM's run at a gigahertz alone. Linux multiplies the crystal
    /// in kHz by the numerator in 32 bits, so that the numerator must be small: where the exact one is not, the nearest will do if it is within 10 millionths, which is better than
    /// crystals of computers are; otherwise (one frequency of 200) the counter is its own crystal.
    /// </summary>
    internal static (ulong Frequency, uint Numerator, uint Denominator) GetCrystal(ulong tscFrequency)
    {
        const ulong Largest = uint.MaxValue / (PreferredCrystal / 1000);
        const ulong Tolerance = 100_000;

        // Convergents of the continued fraction, and the last one between two of them that is small enough.
        (ulong before, ulong numerator) = (0, 1);
        (ulong denominatorBefore, ulong denominator) = (1, 0);
        (ulong dividend, ulong divisor) = (tscFrequency, PreferredCrystal);
        while (divisor != 0)
        {
            ulong whole = dividend / divisor;
            ulong nextNumerator = (whole * numerator) + before;
            ulong nextDenominator = (whole * denominator) + denominatorBefore;
            if (denominator != 0 && (nextNumerator > Largest || nextDenominator > Largest))
            {
                ulong part = Math.Min((Largest - before) / numerator, (Largest - denominatorBefore) / denominator);
                (nextNumerator, nextDenominator) = ((part * numerator) + before, (part * denominator) + denominatorBefore);
                if (part != 0 && GetError(nextNumerator, nextDenominator) < GetError(numerator, denominator))
                {
                    (numerator, denominator) = (nextNumerator, nextDenominator);
                }

                break;
            }

            (before, numerator) = (numerator, nextNumerator);
            (denominatorBefore, denominator) = (denominator, nextDenominator);
            (dividend, divisor) = (divisor, dividend % divisor);
        }

        return GetError(numerator, denominator) <= tscFrequency / Tolerance ? (PreferredCrystal, (uint)numerator, (uint)denominator) : (tscFrequency, 1, 1);

        ulong GetError(ulong over, ulong under)
        {
            UInt128 told = (UInt128)PreferredCrystal * over / under;
            return (ulong)(told > tscFrequency ? told - tscFrequency : tscFrequency - told);
        }
    }

    private static (uint First, uint Second, uint Third) Split(string signature)
    {
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(Encoding.ASCII.GetBytes(signature));
        return (words[0], words[1], words[2]);
    }

    private void Add(uint leaf, uint subleaf, uint eax, uint ebx, uint ecx, uint edx) => _entries.Add(new CpuidEntry(leaf, subleaf, eax, ebx, ecx, edx));

    private uint Bits(uint leaf, CpuidRegister register)
    {
        uint bits = 0;
        foreach (CpuFeature feature in model.Features)
        {
            if (feature.Leaf == leaf && feature.Register == register)
            {
                bits |= 1u << feature.Bit;
            }
        }

        return bits;
    }

    private void AddIdentity()
    {
        (uint ebx, uint edx, uint ecx) = Split("GenuineIntel");
        Add(0, Any, MaximumBasicLeaf, ebx, ecx, edx);
    }

    private void AddFeatures()
    {
        const uint ManyThreads = 1u << 28;

        // The accelerator puts the initial APIC identifier into EBX 31:24.
        uint ebx = (uint)processorCount << 16 | OneLineInBytes / 8 << 8;
        uint edx = Bits(CpuFeatures.Basic, CpuidRegister.Edx) | (processorCount > 1 ? ManyThreads : 0);
        Add(1, Any, Signature, ebx, Bits(CpuFeatures.Basic, CpuidRegister.Ecx), edx);

        // The APIC timer runs in every power state.
        Add(6, Any, 1u << 2, 0, 0, 0);
        Add(
            7,
            0,
            2,
            Bits(CpuFeatures.Structured, CpuidRegister.Ebx),
            Bits(CpuFeatures.Structured, CpuidRegister.Ecx),
            Bits(CpuFeatures.Structured, CpuidRegister.Edx));

        // BHI_CTRL: a guest that thinks it needs protection from branch history sets a bit in IA32_SPEC_CTRL instead of clearing it at every system call.
        const uint BranchHistoryControl = 1u << 4;
        Add(7, 2, 0, 0, 0, BranchHistoryControl);
    }

    // Sizes of a common server core. They tell a guest how to tile its loops, no more.
    private void AddCaches()
    {
        const uint SeeLeaf4 = 0x0000_ff01;
        Add(2, Any, SeeLeaf4, 0, 0, 0);
        AddCache(0, type: 1, level: 1, kilobytes: 32, ways: 8, shared: false);
        AddCache(1, type: 2, level: 1, kilobytes: 32, ways: 8, shared: false);
        AddCache(2, type: 3, level: 2, kilobytes: 1024, ways: 16, shared: false);
        AddCache(3, type: 3, level: 3, kilobytes: 16384, ways: 16, shared: true);
    }

    private void AddCache(uint subleaf, uint type, uint level, uint kilobytes, uint ways, bool shared)
    {
        const uint SelfInitializing = 1u << 8;
        uint sharers = shared ? (1u << _coreBits) - 1 : ThreadsPerCore - 1;
        uint cores = (1u << _coreBits) - 1;
        uint sets = kilobytes * 1024 / OneLineInBytes / ways;
        Add(4, subleaf, type | level << 5 | SelfInitializing | sharers << 14 | cores << 26, ways - 1 << 22 | OneLineInBytes - 1, sets - 1, 0);
    }

    // The accelerator puts the x2APIC identifier into EDX.
    private void AddTopology()
    {
        const uint ThreadLevel = 1u << 8;
        const uint CoreLevel = 2u << 8;
        Add(0xb, 0, 0, ThreadsPerCore, ThreadLevel | 0, 0);
        Add(0xb, 1, (uint)_coreBits, (uint)processorCount, CoreLevel | 1, 0);
        Add(0xb, 2, 0, 0, 2, 0);
    }

    private void AddExtendedStates()
    {
        const uint OptimizedCompactedAndGetX = 0b111;
        bool avx = model.HasFeature("avx");
        uint size = avx ? StandardAreaSize + AvxAreaSize : StandardAreaSize;
        Add(0xd, 0, avx ? 0b111u : 0b011u, size, size, 0);
        Add(0xd, 1, OptimizedCompactedAndGetX, size, 0, 0);
        if (avx)
        {
            Add(0xd, 2, AvxAreaSize, StandardAreaSize, 0, 0);
        }
    }

    private void AddFrequencies()
    {
        (ulong crystal, uint numerator, uint denominator) = GetCrystal(tscFrequency);
        uint megahertz = (uint)(tscFrequency / 1_000_000);
        Add(0x15, Any, denominator, numerator, (uint)crystal, 0);
        Add(0x16, Any, megahertz, megahertz, 100, 0);
    }

    private void AddExtended()
    {
        const uint InvariantTsc = 1u << 8;
        const uint SixteenWays = 8;
        Add(0x8000_0000, Any, MaximumExtendedLeaf, 0, 0, 0);
        Add(0x8000_0001, Any, 0, 0, Bits(CpuFeatures.Extended, CpuidRegister.Ecx), Bits(CpuFeatures.Extended, CpuidRegister.Edx));
        Span<byte> brand = stackalloc byte[48];
        Encoding.ASCII.GetBytes($"Lamina Virtual CPU ({model.Name})", brand);
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(brand);
        for (int i = 0; i < 3; i++)
        {
            Add(0x8000_0002 + (uint)i, Any, words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
        }

        Add(0x8000_0006, Any, 0, 0, 1024u << 16 | SixteenWays << 12 | OneLineInBytes, 0);
        Add(0x8000_0007, Any, 0, 0, 0, InvariantTsc);
        Add(0x8000_0008, Any, (uint)physicalAddressBits | VirtualAddressBits << 8, 0, 0, 0);
    }
}
