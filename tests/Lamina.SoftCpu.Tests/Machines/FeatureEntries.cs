using Lamina.Machine.Processors;

namespace Lamina.SoftCpu.Tests.Machines;

/// <summary>CPUID answers that offer given extensions.</summary>
internal static class FeatureEntries
{
    public const ProcessorFeatures All = (ProcessorFeatures)ulong.MaxValue;

    public static List<CpuidEntry> Create(ProcessorFeatures features)
    {
        Dictionary<(uint, uint), uint[]> leaves = [];
        foreach ((uint leaf, uint subleaf, char register, int bit, ProcessorFeatures feature) in CpuidTable.FeatureBits)
        {
            if (!leaves.TryGetValue((leaf, subleaf), out uint[]? values))
            {
                leaves[(leaf, subleaf)] = values = new uint[4];
            }

            if ((features & feature) != 0)
            {
                values[register - 'a'] |= 1u << bit;
            }
        }

        List<CpuidEntry> entries = [];
        foreach (((uint leaf, uint subleaf), uint[] v) in leaves)
        {
            entries.Add(new CpuidEntry(leaf, subleaf, v[0], v[1], v[2], v[3]));
        }

        return entries;
    }
}
