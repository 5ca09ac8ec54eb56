using Lamina.Machine.Processors;

namespace Lamina.Boot.Cpu;

/// <summary>
/// A named set of processor features that any accelerator can honour. The numbered models are fixed: a host that lacks something of theirs cannot run them. The model
/// <c>max</c> is everything that Lamina knows and the host has.
/// </summary>
public sealed class CpuModel
{
    private static readonly (string Name, CpuLevel Level)[] Models = [("x86-64-v2", CpuLevel.V2), ("x86-64-v3", CpuLevel.V3), ("max", CpuLevel.Max)];

    private CpuModel(string name, CpuLevel level, Func<CpuFeature, bool> hostHas)
    {
        Name = name;
        CpuFeature[] wanted = Array.FindAll(CpuFeatures.All, f => f.Level <= level);
        Features = level == CpuLevel.Max ? Array.FindAll(wanted, f => !f.NeedsHost || hostHas(f)) : wanted;
        MissingHostFeatures = level == CpuLevel.Max
            ? []
            : Array.ConvertAll(Array.FindAll(wanted, f => f.NeedsHost && !hostHas(f)), f => f.Name);
    }

    /// <summary>The names, smallest first.</summary>
    public static IReadOnlyList<string> Names { get; } = Array.ConvertAll(Models, m => m.Name);

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>What this host's processor lacks of the model; empty if it can be used here.</summary>
    public IReadOnlyList<string> MissingHostFeatures { get; }

    /// <summary>Names of the features, in the order of CPUID.</summary>
    public IReadOnlyList<string> FeatureNames => Array.ConvertAll(Features, f => f.Name);

    /// <summary>The features.</summary>
    internal CpuFeature[] Features { get; }

    /// <summary>Whether the model has the feature.</summary>
    public bool HasFeature(string name) => Array.Exists(Features, f => f.Name == name);

    /// <summary>Finds a model by name.</summary>
    /// <returns>The model, or null if there is none of that name.</returns>
    public static CpuModel? Find(string name) => Find(name, HostProcessor.Has);

    /// <summary>The CPUID answers of the model.</summary>
    /// <param name="processorCount">Processors of the machine, 1 to 64: one socket, a core each.</param>
    /// <param name="tscFrequency">Frequency of the time-stamp counter in Hz.</param>
    /// <param name="physicalAddressBits">Width of physical addresses.</param>
    public IReadOnlyList<CpuidEntry> CreateEntries(int processorCount, ulong tscFrequency, int physicalAddressBits)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(processorCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(processorCount, 64);
        ArgumentOutOfRangeException.ThrowIfZero(tscFrequency);
        return new CpuidTable(this, processorCount, tscFrequency, physicalAddressBits).Build();
    }

    /// <summary>Frequency in Hz of the core crystal clock that the model tells for a time-stamp counter frequency. The local APIC timer runs at it.</summary>
    public static ulong GetCrystalFrequency(ulong tscFrequency) => CpuidTable.GetCrystal(tscFrequency).Frequency;

    /// <summary>
    /// Frequency in Hz of the core crystal clock that a guest was told (Intel SDM volume 2, CPUID leaf 15H), also by another version of the model; <c>null</c> if it was told none, or one that no version tells.
    /// </summary>
    /// <param name="cpuid">What it was told.</param>
    /// <param name="tscFrequency">The frequency of its time-stamp counter in Hz.</param>
    public static ulong? FindCrystalFrequency(IReadOnlyList<CpuidEntry> cpuid, ulong tscFrequency)
    {
        ArgumentNullException.ThrowIfNull(cpuid);
        ulong told = cpuid.FirstOrDefault(static e => e.Leaf == 0x15).Ecx;
        return told == CpuidTable.PreferredCrystal || (told != 0 && told == tscFrequency) ? told : null;
    }

    /// <summary>Names what an accelerator has taken away of the answers of a model.</summary>
    /// <param name="wanted">The model's answers.</param>
    /// <param name="given">The answers that a guest gets.</param>
    /// <returns>Features by name, and answers that have none by their leaf.</returns>
    public static IReadOnlyList<string> FindWithheld(IReadOnlyList<CpuidEntry> wanted, IReadOnlyList<CpuidEntry> given)
    {
        ArgumentNullException.ThrowIfNull(wanted);
        ArgumentNullException.ThrowIfNull(given);
        List<string> withheld = [];
        foreach (CpuidEntry entry in wanted)
        {
            int index = given.ToList().FindIndex(g => g.Leaf == entry.Leaf && g.Subleaf == entry.Subleaf);
            CpuidEntry other = index < 0 ? new CpuidEntry(entry.Leaf, entry.Subleaf, 0, 0, 0, 0) : given[index];
            if (other == entry)
            {
                continue;
            }

            int before = withheld.Count;
            withheld.AddRange(CpuFeatures.All
                .Where(f => f.Leaf == entry.Leaf && entry.Subleaf is 0 or CpuidEntry.AnySubleaf && (((Get(entry, f.Register) & ~Get(other, f.Register)) >> f.Bit) & 1) != 0)
                .Select(static f => f.Name));
            if (withheld.Count == before)
            {
                withheld.Add(entry.Subleaf is 0 or CpuidEntry.AnySubleaf ? $"CPUID {entry.Leaf:X}H" : $"CPUID {entry.Leaf:X}H.{entry.Subleaf}");
            }
        }

        return withheld;
    }

    private static uint Get(in CpuidEntry entry, CpuidRegister register) => register switch
    {
        CpuidRegister.Eax => entry.Eax,
        CpuidRegister.Ebx => entry.Ebx,
        CpuidRegister.Ecx => entry.Ecx,
        _ => entry.Edx,
    };

    internal static CpuModel? Find(string name, Func<CpuFeature, bool> hostHas)
    {
        int index = Array.FindIndex(Models, m => m.Name == name);
        return index < 0 ? null : new CpuModel(Models[index].Name, Models[index].Level, hostHas);
    }
}
