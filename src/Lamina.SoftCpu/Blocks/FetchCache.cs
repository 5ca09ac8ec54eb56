namespace Lamina.SoftCpu.Blocks;

/// <summary>The pages that one processor has lately fetched instructions from: where they are, for which privilege. Flushed with the TLB.</summary>
internal sealed class FetchCache
{
    private const int Count = 512;
    private readonly Entry[] _entries = new Entry[Count];
    private ulong _localEpoch = 1;
    private ulong _globalEpoch = 1;

    /// <summary>Finds a page.</summary>
    /// <param name="page">Its linear address.</param>
    /// <param name="user">Fetched with user privilege.</param>
    /// <param name="entry">What is known of it.</param>
    public bool TryFind(ulong page, bool user, out Entry entry)
    {
        entry = _entries[IndexOf(page, user)];
        return entry.Name == NameOf(page, user) && entry.Epoch == (entry.Global ? _globalEpoch : _localEpoch);
    }

    /// <summary>Remembers a page.</summary>
    public Entry Add(ulong page, bool user, ulong physical, bool global, uint mapping, uint place)
    {
        return _entries[IndexOf(page, user)] = new Entry
        {
            Name = NameOf(page, user),
            Epoch = global ? _globalEpoch : _localEpoch,
            Physical = physical,
            Global = global,
            Mapping = mapping,
            Place = place,
        };
    }

    /// <summary>Forgets one page.</summary>
    public void FlushPage(ulong linear)
    {
        ulong page = linear & ~0xfffUL;
        _entries[IndexOf(page, user: false)].Epoch = 0;
        _entries[IndexOf(page, user: true)].Epoch = 0;
    }

    /// <summary>Forgets all pages that are not global.</summary>
    public void FlushLocal() => _localEpoch++;

    /// <summary>Forgets everything.</summary>
    public void FlushAll()
    {
        _localEpoch++;
        _globalEpoch++;
    }

    private static ulong NameOf(ulong page, bool user) => page | (user ? 3UL : 1UL);

    private static int IndexOf(ulong page, bool user) => (int)((page >> 12) ^ (page >> 21) ^ (user ? 0x100UL : 0)) & (Count - 1);

    /// <summary>One page.</summary>
    public struct Entry
    {
        public ulong Name;
        public ulong Epoch;

        /// <summary>Its physical address.</summary>
        public ulong Physical;

        /// <summary>The number of the mapping, 0 if it has none.</summary>
        public uint Mapping;

        /// <summary>The number of the physical page, 0 if it has none.</summary>
        public uint Place;

        /// <summary>It outlives a load of CR3.</summary>
        public bool Global;
    }
}
