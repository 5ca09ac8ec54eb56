using System.Numerics;
using System.Runtime.InteropServices;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.Memory;

/// <summary>Which pages a guest has given back: a bit for each page of RAM.</summary>
internal sealed class GivenPages(GuestMemory memory)
{
    private const int WordBits = 64;
    private readonly ulong[] _words = new ulong[(int)(memory.Regions[^1].End / GuestMemory.PageSize / WordBits) + 1];

    /// <summary>How many pages.</summary>
    internal ulong Count { get; private set; }

    /// <summary>Bits that there are.</summary>
    internal ulong Length => (ulong)_words.Length * WordBits;

    internal void Clear()
    {
        Array.Clear(_words);
        Count = 0;
    }

    /// <summary>Notes a page.</summary>
    /// <returns><c>false</c> if it was given before, or is no RAM.</returns>
    internal bool TryAdd(ulong page)
    {
        if (page >= Length || memory.GetHostAddress(page * GuestMemory.PageSize, GuestMemory.PageSize) == 0)
        {
            return false;
        }

        ref ulong word = ref _words[page / WordBits];
        ulong bit = 1UL << (int)(page % WordBits);
        bool added = (word & bit) == 0;
        word |= bit;
        Count += added ? 1UL : 0;
        return added;
    }

    /// <summary>Takes the first pages that follow each other.</summary>
    /// <param name="from">No page before this one is noted; moves on.</param>
    /// <param name="most">Most pages.</param>
    /// <param name="start">The first.</param>
    /// <returns>How many; 0 if there is none.</returns>
    internal ulong Take(ref ulong from, ulong most, out ulong start)
    {
        ulong word = from / WordBits;
        while (word < (ulong)_words.Length && _words[word] == 0)
        {
            word++;
        }

        start = 0;
        if (word >= (ulong)_words.Length)
        {
            return 0;
        }

        start = (word * WordBits) + (ulong)BitOperations.TrailingZeroCount(_words[word]);
        ulong count = 0;
        for (; count < most && start + count < Length && Holds(start + count); count++)
        {
            _words[(start + count) / WordBits] &= ~(1UL << (int)((start + count) % WordBits));
        }

        Count -= count;
        from = start;
        return count;
    }

    /// <summary>Writes two fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, Count);
        state.Write((ushort)(field + 1), MemoryMarshal.AsBytes(_words.AsSpan(0, Count == 0 ? 0 : _words.Length)));
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        Clear();
        ulong count = 0;
        bool valid = state.TryTake(field, ref count)
            && state.TryRead((ushort)(field + 1), MemoryMarshal.AsBytes(_words.AsSpan())) == (count == 0 ? 0 : _words.Length * sizeof(ulong));
        foreach (ulong word in _words)
        {
            Count += (ulong)BitOperations.PopCount(word);
        }

        return valid && Count == count;
    }

    private bool Holds(ulong page) => (_words[page / WordBits] & (1UL << (int)(page % WordBits))) != 0;
}
