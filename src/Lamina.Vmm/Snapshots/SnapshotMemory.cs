using Lamina.Interop.Memory;

namespace Lamina.Vmm.Snapshots;

/// <summary>RAM, and the files of the snapshot that it was mapped from; none for a machine that was booted.</summary>
internal sealed class SnapshotMemory : IDisposable
{
    // Of the host's 65530 mappings, half; a piece takes two.
    private const int MaximumPieces = 16 << 10;
    private readonly List<MemoryLayer> _layers;

    private SnapshotMemory(MemoryMapping mapping, List<MemoryLayer> layers)
    {
        Mapping = mapping;
        _layers = layers;
    }

    /// <summary>RAM.</summary>
    internal MemoryMapping Mapping { get; }

    /// <summary>RAM that is zero.</summary>
    internal static SnapshotMemory CreateEmpty(ulong length) => new(MemoryMapping.CreateAnonymous(length), []);

    /// <summary>RAM as a chain of snapshots has it. Only what is compressed is read.</summary>
    /// <param name="layers">The chain, from the one that stands alone. They stay the caller's.</param>
    /// <param name="length">Bytes.</param>
    internal static SnapshotMemory Create(IReadOnlyList<MemoryLayer> layers, ulong length)
    {
        MemoryMapping mapping = layers[0].Map(length);
        SnapshotMemory memory = new(mapping, []);
        try
        {
            int budget = MaximumPieces;
            foreach (MemoryLayer layer in layers.Skip(1))
            {
                layer.Lay(mapping, ref budget);
            }

            foreach (MemoryLayer layer in layers.Where(static l => l.IsMapped))
            {
                memory._layers.Add(layer.Duplicate());
            }

            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>What has data in the files below, by ascending address; pages of several layers may come more than once.</summary>
    internal List<PageRun> FindData()
    {
        List<PageRun> data = [.. _layers.SelectMany(static l => l.FindData())];
        data.Sort(static (a, b) => a.First.CompareTo(b.First));
        List<PageRun> merged = [];
        foreach (PageRun run in data)
        {
            if (merged.Count > 0 && merged[^1].First + merged[^1].Count >= run.First)
            {
                ulong end = Math.Max(merged[^1].First + merged[^1].Count, run.First + run.Count);
                merged[^1] = merged[^1] with { Count = end - merged[^1].First };
            }
            else
            {
                merged.Add(run);
            }
        }

        return merged;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mapping.Dispose();
        _layers.ForEach(static l => l.Dispose());
    }
}
