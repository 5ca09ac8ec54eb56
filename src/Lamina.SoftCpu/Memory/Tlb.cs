using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Memory;

/// <summary>
/// The TLBs of one processor, in native memory that emitted code reads: a first level indexed by the page's low bits, and behind it a larger one that catches what
/// pages with equal low bits displace. A flush clears the entries that were filled since the last one; those of global pages outlive a load of CR3
/// (Intel SDM volume 3, section 4.10.2.4), and so do those of user accesses in spaces that are kept (<see cref="SpaceTable"/>).
/// </summary>
internal sealed unsafe class Tlb : IDisposable
{
    /// <summary>The array of supervisor accesses.</summary>
    public const int Supervisor = 0;

    /// <summary>The array of user accesses, in space 0.</summary>
    public const int User = 1;

    /// <summary>The array of supervisor accesses while RFLAGS.AC switches SMAP off.</summary>
    public const int SupervisorWithoutSmap = 2;

    /// <summary>The array that never holds anything.</summary>
    public const int AlwaysMiss = 3;

    private const int JournalSize = 8192;
    private const int Alignment = 64;
    private const ulong PageMask = ~0xfffUL;
    private const ulong WriteBit = 1;
    private const int ArrayMask = 0xf;

    // What was filled, in either level: the page, its array in bits 4:1, and whether for writes in bit 0. In the arrays of supervisor accesses, of global pages in any, and in those of
    // each space that has been current.
    private readonly FlushJournal<ulong> _local = new(JournalSize);
    private readonly FlushJournal<ulong> _global = new(JournalSize);
    private readonly FlushJournal<ulong>?[] _spaces = new FlushJournal<ulong>?[SpaceTable.Count];
    private int _space;
    private bool _hasGlobalUser;

    // A bit for each 2 MiB and each 1 GiB of linear addresses, hashed, of which a part of a larger page may be cached.
    private readonly ulong[] _large = new ulong[16];
    private readonly ulong[] _huge = new ulong[16];
    private readonly TlbEntry* _slots;
    private readonly byte* _memory;
    private readonly WriterMap _writers = new();

    /// <param name="slots">See <see cref="ProcessorContext.Slots"/>.</param>
    public Tlb(ulong* slots)
    {
        _slots = (TlbEntry*)slots;

        // SAFETY: freed in Dispose. Zeroes are empty but where page zero itself would be looked for (see Empty); so nothing is touched before it is used.
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)((sizeof(TlbEntry) * TlbEntry.Total) + Alignment));
        Entries = (TlbEntry*)(((nuint)_memory + Alignment - 1) & ~(nuint)(Alignment - 1));
        Empty(Supervisor);
        Empty(SupervisorWithoutSmap);
        Empty(AlwaysMiss);
        UseSpace(0);
        ForgetSlots();
    }

    /// <summary>All arrays, one behind the other.</summary>
    public TlbEntry* Entries { get; }

    /// <summary>One array.</summary>
    public TlbEntry* Array(int array) => Entries + (array * TlbEntry.Stride);

    /// <summary>The array of user accesses in the current space.</summary>
    public TlbEntry* UserArray => Array(UserArrayOf(_space));

    /// <summary>
    /// Makes another space the current one. What is local in supervisor accesses is dropped, for it belongs to the space that is left. The space's own array must be flushed if it is a new one's.
    /// </summary>
    public void SwitchSpace(int space)
    {
        Flush(_local);
        UseSpace(space);
    }

    /// <summary>Drops what is kept of a space, but for global pages.</summary>
    public void FlushSpace(int space)
    {
        if (_spaces[space] is { } journal)
        {
            Flush(journal);
        }
    }

    /// <summary>Drops the translations of all spaces, but for global pages.</summary>
    public void FlushSpaces()
    {
        Flush(_local);
        for (int space = 0; space < SpaceTable.Count; space++)
        {
            FlushSpace(space);
        }
    }

    /// <summary>Remembers a translation in both levels of an array.</summary>
    public void Fill(TlbEntry* array, ulong page, nint addend, bool write, bool global)
    {
        ulong number = (ulong)((array - Entries) / TlbEntry.Stride);
        ulong name = page | (number << 1) | (write ? WriteBit : 0);
        bool user = number is User or > AlwaysMiss;
        (global ? _global : user ? _spaces[SpaceOf((int)number)]! : _local).Add(name);
        _hasGlobalUser |= global && user;
        if (write)
        {
            _writers.Add((nint)page + addend, name);
        }

        TlbEntry* first = write ? TlbEntry.ForWrite(array, page) : TlbEntry.ForRead(array, page);
        *first = new TlbEntry { Tag = page, Addend = addend };
        TlbEntry* second = TlbEntry.SecondSet(array, page, write);
        if (second->Tag != page)
        {
            second[1] = second[0];
        }

        second[0] = *first;
    }

    /// <summary>Finds the translation of a page in the second level, and copies it into the first. Null: not there.</summary>
    public static TlbEntry* Refill(TlbEntry* array, ulong page, bool write)
    {
        TlbEntry* second = TlbEntry.SecondSet(array, page, write);
        for (int way = 0; way < TlbEntry.Ways; way++)
        {
            if (second[way].Tag == page)
            {
                TlbEntry* first = write ? TlbEntry.ForWrite(array, page) : TlbEntry.ForRead(array, page);
                *first = second[way];
                return first;
            }
        }

        return null;
    }

    /// <summary>Says that what is cached for this address may be a part of a larger page.</summary>
    public void NoteLargePage(ulong linear, ulong size)
    {
        if (size == 1 << 21)
        {
            _large[Word(linear >> 21)] |= 1UL << (int)((linear >> 21) & 63);
        }
        else
        {
            _huge[Word(linear >> 30)] |= 1UL << (int)((linear >> 30) & 63);
        }
    }

    /// <summary>Whether what is cached for this address may be a part of a larger page, so that there may be other parts.</summary>
    public bool MayBeLarge(ulong linear)
    {
        return (((_large[Word(linear >> 21)] >> (int)((linear >> 21) & 63)) | (_huge[Word(linear >> 30)] >> (int)((linear >> 30) & 63))) & 1) != 0;
    }

    /// <summary>Drops the translations of one page of 4 KiB.</summary>
    public void FlushPage(ulong linear)
    {
        for (int array = 0; array < TlbEntry.ArrayCount; array++)
        {
            if (array is Supervisor or SupervisorWithoutSmap || array == UserArrayOf(_space) || (_hasGlobalUser && IsUsed(array)))
            {
                Drop(Array(array), linear);
            }
        }

        ForgetSlots();
    }

    /// <summary>Drops the translations of all pages of the current space that are not global.</summary>
    public void FlushLocal()
    {
        Flush(_local);
        FlushSpace(_space);
    }

    /// <summary>Drops everything.</summary>
    public void FlushAll()
    {
        FlushSpaces();
        Flush(_global);
        _hasGlobalUser = false;
        System.Array.Clear(_large);
        System.Array.Clear(_huge);
    }

    /// <summary>Drops the write entries of a page, given by its host address.</summary>
    public void DropWrites(nint host)
    {
        Span<ulong> names = stackalloc ulong[4];
        bool all = _writers.TryTake(host, names, out int count);
        foreach (ulong name in names[..count])
        {
            Drop(name);
        }

        if (!all)
        {
            _writers.Begin(host);
            for (int array = 0; array < TlbEntry.ArrayCount; array++)
            {
                if (!IsUsed(array))
                {
                    continue;
                }

                DropWrites(array, TlbEntry.ForWrite(Array(array), 0), TlbEntry.Count, host);
                DropWrites(array, TlbEntry.SecondSet(Array(array), 0, write: true), TlbEntry.SecondSets * TlbEntry.Ways, host);
            }
        }

        ForgetSlots();
    }

    /// <summary>Empties the slots: what they copy has changed, or holds no longer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ForgetSlots()
    {
        for (int n = 0; n < ProcessorContext.SlotCount; n++)
        {
            _slots[n].Tag = TlbEntry.NoPage;
        }
    }

    public void Dispose() => NativeMemory.Free(_memory);

    private static int Word(ulong number) => (int)((number >> 6) ^ (number >> 12)) & 15;

    private void DropWrites(int array, TlbEntry* entry, int count, nint host)
    {
        for (int i = 0; i < count; i++, entry++)
        {
            nint page = (nint)entry->Tag + entry->Addend;
            if (page == 0 || !WriterMap.IsBeside(page, host) || entry->Tag == TlbEntry.NoPage)
            {
                continue;
            }

            if (page == host)
            {
                entry->Tag = TlbEntry.NoPage;
            }
            else
            {
                _writers.Add(page, entry->Tag | ((ulong)array << 1) | WriteBit);
            }
        }
    }

    private static int UserArrayOf(int space) => space == 0 ? User : AlwaysMiss + space;

    private static int SpaceOf(int array) => array == User ? 0 : array - AlwaysMiss;

    // Arrays of spaces that have never been current hold nothing, not even empty entries.
    private bool IsUsed(int array) => array is Supervisor or SupervisorWithoutSmap or AlwaysMiss || _spaces[SpaceOf(array)] != null;

    private void UseSpace(int space)
    {
        if (_spaces[space] == null)
        {
            _spaces[space] = new FlushJournal<ulong>(JournalSize);
            Empty(UserArrayOf(space));
        }

        _space = space;
    }

    private void Drop(ulong name) => Drop(Array((int)(name >> 1) & ArrayMask), name, (name & WriteBit) != 0);

    private static void Drop(TlbEntry* array, ulong linear)
    {
        Drop(array, linear, write: false);
        Drop(array, linear, write: true);
    }

    // Whatever is in the first level's place: that is this page, or may as well be looked up again.
    private static void Drop(TlbEntry* array, ulong linear, bool write)
    {
        (write ? TlbEntry.ForWrite(array, linear) : TlbEntry.ForRead(array, linear))->Tag = TlbEntry.NoPage;
        TlbEntry* second = TlbEntry.SecondSet(array, linear, write);
        for (int way = 0; way < TlbEntry.Ways; way++)
        {
            if (second[way].Tag == (linear & PageMask))
            {
                second[way].Tag = TlbEntry.NoPage;
            }
        }
    }

    private void Flush(FlushJournal<ulong> journal)
    {
        if (journal.Overflowed)
        {
            for (int array = 0; array < TlbEntry.ArrayCount; array++)
            {
                if (IsUsed(array) && (journal == _global || (array is User or > AlwaysMiss ? journal == _spaces[SpaceOf(array)] : journal == _local)))
                {
                    Clear(array);
                }
            }
        }
        else
        {
            foreach (ulong name in journal.Entries)
            {
                Drop(name);
            }
        }

        journal.Reset();
        ForgetSlots();
    }

    // For an array that has never held anything: all zeroes, which is page zero's tag. It is looked for in page zero's entries, and in the last page's, by accesses that go on at zero.
    private void Empty(int array)
    {
        Drop(Array(array), 0);
        Drop(Array(array), PageMask);
    }

    private void Clear(int array) => new Span<TlbEntry>(Array(array), TlbEntry.Stride).Fill(TlbEntry.Invalid);
}
