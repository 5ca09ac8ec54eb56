using System.Runtime.Intrinsics.X86;
using Lamina.Interop.Kvm;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>Holds CPUID answers against what KVM offers.</summary>
internal sealed class KvmCpuid(KvmCpuidEntry[] supported)
{
    private const uint ExtendedStateFeature = 1u << 26;
    private const uint TscAdjustFeature = 1u << 1;

    // What does not depend on KVM: our local APIC's x2APIC mode and TSC deadline, the bit that tells of a hypervisor, and OSXSAVE, which follows CR4.
    private const uint OwnBasicEcx = (1u << 21) | (1u << 24) | (1u << 27) | (1u << 31);

    // The local APIC, and the bit that tells of several processors in a package.
    private const uint OwnBasicEdx = (1u << 9) | (1u << 28);

    // Where KVM itself tells its features.
    private const uint OwnFeatures = 0x4000_0001;

    // KVM_FEATURE_CLOCKSOURCE, CLOCKSOURCE2 and CLOCKSOURCE_STABLE_BIT.
    private const uint ClockFeatures = (1u << 0) | (1u << 3) | (1u << 24);

    /// <summary>The answers that tell of KVM's clock: "KVMKVMKVM", and the features.</summary>
    public static IReadOnlyList<CpuidEntry> Clock { get; } =
    [
        new(ParavirtualLeaves.KvmSignature, CpuidEntry.AnySubleaf, ParavirtualLeaves.KvmFeatures, 0x4b4d_564b, 0x564b_4d56, 0x4d),
        new(ParavirtualLeaves.KvmFeatures, CpuidEntry.AnySubleaf, ClockFeatures, 0, 0, 0),
    ];

    /// <summary>Width of physical addresses.</summary>
    public int PhysicalAddressBits => Find(0x8000_0008, 0) is { } entry && (entry.Eax & 0xff) != 0 ? (int)Math.Min(entry.Eax & 0xff, 52) : 36;

    /// <summary>Takes away what KVM does not offer.</summary>
    /// <param name="wanted">The answers.</param>
    /// <param name="setsTime">Whether time-stamp counters can be set, and so adjusted.</param>
    public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> wanted, bool setsTime)
    {
        uint notEbx = setsTime ? 0 : TscAdjustFeature;
        bool extendedState = ((Find(1, 0)?.Ecx ?? 0) & ExtendedStateFeature) != 0;
        List<CpuidEntry> entries = [];
        foreach (CpuidEntry entry in wanted)
        {
            KvmCpuidEntry offer = Find(entry.Leaf, entry.Subleaf == CpuidEntry.AnySubleaf ? 0 : entry.Subleaf) ?? default;
            entries.Add((entry.Leaf, entry.Subleaf) switch
            {
                (1, _) => entry with { Ecx = entry.Ecx & (offer.Ecx | OwnBasicEcx), Edx = entry.Edx & (offer.Edx | OwnBasicEdx) },
                (7, 0 or CpuidEntry.AnySubleaf) => entry with { Ebx = entry.Ebx & offer.Ebx & ~notEbx, Ecx = entry.Ecx & offer.Ecx, Edx = entry.Edx & offer.Edx },
                (7, _) => entry with { Eax = entry.Eax & offer.Eax, Ebx = entry.Ebx & offer.Ebx, Ecx = entry.Ecx & offer.Ecx, Edx = entry.Edx & offer.Edx },
                (0xd, _) when !extendedState => new CpuidEntry(entry.Leaf, entry.Subleaf, 0, 0, 0, 0),
                (0xd, 0) => entry with { Eax = entry.Eax & offer.Eax, Edx = entry.Edx & offer.Edx },
                (0xd, 1) => entry with { Eax = entry.Eax & offer.Eax },
                (ParavirtualLeaves.KvmFeatures, _) => entry with { Eax = entry.Eax & (Find(OwnFeatures, 0)?.Eax ?? 0) },
                (0x8000_0001, _) => entry with { Ecx = entry.Ecx & offer.Ecx, Edx = entry.Edx & offer.Edx },
                (0x8000_0007, _) => entry with { Edx = entry.Edx & offer.Edx },
                (0x8000_0008, _) => entry with { Ebx = entry.Ebx & offer.Ebx },
                _ => entry,
            });
        }

        return entries;
    }

    /// <summary>The answers of one processor as KVM takes them.</summary>
    public static KvmCpuidEntry[] ForProcessor(IReadOnlyList<CpuidEntry> entries, int index)
    {
        return
        [
            .. entries.Select(entry => new KvmCpuidEntry
            {
                Leaf = entry.Leaf,
                Subleaf = entry.Subleaf == CpuidEntry.AnySubleaf ? 0 : entry.Subleaf,
                Flags = entry.Subleaf == CpuidEntry.AnySubleaf ? 0 : KvmCpuidEntry.HasSubleaves,
                Eax = entry.Eax,
                Ebx = entry.Leaf == 1 ? (entry.Ebx & 0xff_ffff) | ((uint)index << 24) : entry.Ebx,
                Ecx = entry.Ecx,
                Edx = entry.Leaf == 0xb ? (uint)index : entry.Edx,
            }),
        ];
    }

    /// <summary>The answers with the host's instruction-set extensions in the place of their own.</summary>
    public static IReadOnlyList<CpuidEntry> WithHostFeatures(IReadOnlyList<CpuidEntry> entries)
    {
        (uint Leaf, uint Subleaf)[] leaves = [(1, CpuidEntry.AnySubleaf), (7, 0), (0xd, 0), (0xd, 1), (0xd, 2), (0x8000_0001, CpuidEntry.AnySubleaf)];
        List<CpuidEntry> result = [.. entries.Where(e => !Array.Exists(leaves, l => l.Leaf == e.Leaf))];
        foreach ((uint leaf, uint subleaf) in leaves)
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)leaf, subleaf == CpuidEntry.AnySubleaf ? 0 : (int)subleaf);
            result.Add(new CpuidEntry(leaf, subleaf, (uint)eax, (uint)ebx, (uint)ecx, (uint)edx));
        }

        return result;
    }

    private KvmCpuidEntry? Find(uint leaf, uint subleaf)
    {
        foreach (KvmCpuidEntry entry in supported)
        {
            if (entry.Leaf == leaf && (entry.Subleaf == subleaf || (entry.Flags & KvmCpuidEntry.HasSubleaves) == 0))
            {
                return entry;
            }
        }

        return null;
    }
}
