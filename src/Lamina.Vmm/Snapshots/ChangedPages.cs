using System.Numerics;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;

namespace Lamina.Vmm.Snapshots;

/// <summary>Pages of RAM that were written between two moments, taken from what <see cref="GuestMemory"/> knows.</summary>
internal sealed class ChangedPages
{
    private readonly GuestMemory _memory;
    private readonly ulong[][] _pages;

    private ChangedPages(GuestMemory memory)
    {
        _memory = memory;
        _pages = new ulong[memory.Regions.Length][];
    }

    /// <summary>Takes them: from now on others count. While nobody writes, and before any processor writes again by what it has cached.</summary>
    internal static ChangedPages Take(GuestMemory memory)
    {
        ChangedPages changed = new(memory);
        for (int region = 0; region < changed._pages.Length; region++)
        {
            changed._pages[region] = new ulong[((memory.Regions[region].Length / GuestMemory.PageSize) + 63) / 64];
            memory.TakeDirtyPages(region, changed._pages[region]);
        }

        return changed;
    }

    /// <summary>Has them count again.</summary>
    internal void Return()
    {
        for (int region = 0; region < _pages.Length; region++)
        {
            foreach (ulong page in Enumerate(_pages[region]))
            {
                _memory.AddPageAttributes(_memory.Regions[region].Address + (page * GuestMemory.PageSize), PageAttributes.Dirty);
            }
        }
    }

    /// <summary>They, by their place in what the host has mapped for RAM.</summary>
    internal List<PageRun> ListRuns(MemoryMapping mapping)
    {
        List<PageRun> runs = [];
        int[] order = [.. Enumerable.Range(0, _pages.Length).OrderBy(r => _memory.Regions[r].HostAddress)];
        foreach (int region in order)
        {
            ulong start = (ulong)(_memory.Regions[region].HostAddress - mapping.Address) / GuestMemory.PageSize;
            foreach (ulong page in Enumerate(_pages[region]))
            {
                if (runs.Count > 0 && runs[^1].First + runs[^1].Count == start + page)
                {
                    runs[^1] = runs[^1] with { Count = runs[^1].Count + 1 };
                }
                else
                {
                    runs.Add(new PageRun(start + page, 1));
                }
            }
        }

        return runs;
    }

    private static IEnumerable<ulong> Enumerate(ulong[] bits)
    {
        for (int word = 0; word < bits.Length; word++)
        {
            for (ulong rest = bits[word]; rest != 0; rest &= rest - 1)
            {
                yield return ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(rest);
            }
        }
    }
}
