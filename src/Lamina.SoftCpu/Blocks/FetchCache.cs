using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The pages that one processor has lately fetched instructions from: where they are, for which privilege. Flushed with the TLB, and like it kept for user code of other spaces
/// (<see cref="SpaceTable"/>). Sets of four, by the page.
/// </summary>
internal sealed class FetchCache
{
    /// <summary>Pages of a set.</summary>
    public const int WayCount = 4;

    private const int SetCount = 256;
    private readonly Entry[] _entries = new Entry[SetCount * WayCount];
    private readonly byte[] _next = new byte[SetCount];

    // An entry is good while its epoch is the present one of its kind. No number is used twice.
    private readonly ulong[] _userEpochs = new ulong[SpaceTable.Count];
    private ulong _supervisorEpoch = 1;
    private ulong _globalEpoch = 2;
    private ulong _lastEpoch = 2;
    private int _space;

    public FetchCache()
    {
        foreach (ref ulong epoch in _userEpochs.AsSpan())
        {
            epoch = ++_lastEpoch;
        }
    }

    /// <summary>Finds a page.</summary>
    /// <param name="page">Its linear address.</param>
    /// <param name="user">Fetched with user privilege.</param>
    /// <param name="entry">What is known of it.</param>
    public bool TryFind(ulong page, bool user, out Entry entry)
    {
        ulong name = NameOf(page, user);
        foreach (ref readonly Entry known in SetAt(SetOf(page, user)))
        {
            if (known.Name == name)
            {
                entry = known;
                return entry.Epoch == EpochOf(user, entry.Global);
            }
        }

        entry = default;
        return false;
    }

    /// <summary>Remembers a page.</summary>
    public Entry Add(ulong page, bool user, ulong physical, bool global, uint mapping, uint place)
    {
        int number = SetOf(page, user);
        Span<Entry> set = SetAt(number);
        ulong name = NameOf(page, user);
        int way = 0;
        while (way < set.Length && set[way].Name != name)
        {
            way++;
        }

        return set[way < set.Length ? way : _next[number]++ % WayCount] = new Entry
        {
            Name = name,
            Epoch = EpochOf(user, global),
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
        Forget(page, user: false);
        Forget(page, user: true);
    }

    /// <summary>Forgets all pages of the current space that are not global.</summary>
    public void FlushLocal()
    {
        _supervisorEpoch = ++_lastEpoch;
        FlushSpace(_space);
    }

    /// <summary>Forgets what is kept of a space's user code.</summary>
    public void FlushSpace(int space) => _userEpochs[space] = ++_lastEpoch;

    /// <summary>Forgets all pages of all spaces that are not global.</summary>
    public void FlushSpaces()
    {
        _supervisorEpoch = ++_lastEpoch;
        for (int space = 0; space < SpaceTable.Count; space++)
        {
            FlushSpace(space);
        }
    }

    /// <summary>Makes another space the current one.</summary>
    public void SwitchSpace(int space)
    {
        _supervisorEpoch = ++_lastEpoch;
        _space = space;
    }

    /// <summary>Forgets everything.</summary>
    public void FlushAll()
    {
        FlushSpaces();
        _globalEpoch = ++_lastEpoch;
    }

    private static ulong NameOf(ulong page, bool user) => page | (user ? 3UL : 1UL);

    /// <summary>The set of a page.</summary>
    public static int SetOf(ulong page, bool user) => (int)((page >> 12) ^ (page >> 20) ^ (user ? 0x80UL : 0)) & (SetCount - 1);

    private Span<Entry> SetAt(int number) => _entries.AsSpan(number * WayCount, WayCount);

    private void Forget(ulong page, bool user)
    {
        ulong name = NameOf(page, user);
        foreach (ref Entry known in SetAt(SetOf(page, user)))
        {
            if (known.Name == name)
            {
                known.Epoch = 0;
            }
        }
    }

    private ulong EpochOf(bool user, bool global) => global ? _globalEpoch : user ? _userEpochs[_space] : _supervisorEpoch;

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
