using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The cached block look-ups of one processor, in native memory that emitted code reads: an array for each mode in which an address may mean something else, and
/// the mapping numbers that guard direct jumps between pages. What was found in global pages outlives a load of CR3.
/// </summary>
internal sealed unsafe class JumpCache : IDisposable
{
    /// <summary>Entries of one array.</summary>
    public const int Count = 16384;

    private const int ArrayCount = 4;
    private const int JournalSize = 8192;
    private const int PageWords = 512;
    private const int Alignment = 64;
    private const ulong PageMask = ~0xfffUL;

    private readonly FlushJournal<ushort> _local = new(JournalSize);
    private readonly FlushJournal<ushort> _global = new(JournalSize);
    private readonly byte* _memory;
    private readonly JumpEntry* _entries;
    private readonly Block** _blocks;
    private readonly uint* _mappings;
    private readonly ulong* _places;

    // Which places have been filled in since the last flush.
    private readonly FlushJournal<ushort> _placeJournal = new(ProcessorContext.PlaceCount);
    private readonly byte* _noCode;

    // A bit for each page (by the low bits of its number) of which some look-up may be cached: named in the one journal, in the other.
    private readonly ulong[] _localPages = new ulong[PageWords];
    private readonly ulong[] _globalPages = new ulong[PageWords];

    // In which journal an entry is named since its last flush: even numbers are the local one's.
    private readonly uint[] _stamps = new uint[Count * ArrayCount];
    private uint _localStamp = 2;
    private uint _globalStamp = 3;
    private bool _localMappingsAbove;

    /// <param name="mappings">See <see cref="ProcessorContext.Mappings"/>.</param>
    /// <param name="places">See <see cref="ProcessorContext.Places"/>.</param>
    /// <param name="noCode">What an entry without translated code holds.</param>
    public JumpCache(uint* mappings, ulong* places, byte* noCode)
    {
        _mappings = mappings;
        _places = places;
        _noCode = noCode;

        // SAFETY: freed in Dispose. Zeroes are empty but where address zero itself would be found; so nothing is touched before it is used.
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)((sizeof(JumpEntry) * Count * ArrayCount) + Alignment));
        _entries = (JumpEntry*)(((nuint)_memory + Alignment - 1) & ~(nuint)(Alignment - 1));
        _blocks = (Block**)NativeMemory.AllocZeroed(Count * ArrayCount, (nuint)sizeof(Block*));
        for (int array = 0; array < ArrayCount; array++)
        {
            Empty(array * Count);
        }
    }

    /// <summary>The array for a mode.</summary>
    public JumpEntry* Array(int codeSize, bool user) => _entries + (((codeSize == 8 ? 0 : 2) + (user ? 1 : 0)) * Count);

    /// <summary>Where a linear address may be found in an array.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOf(ulong linear) => (int)(linear ^ (linear >> 12)) & (Count - 1);

    /// <summary>The block cached for an address in the array in use, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Block* Find(JumpEntry* array, ulong linear)
    {
        JumpEntry* entry = array + IndexOf(linear);
        return entry->Linear == linear ? _blocks[entry - _entries] : null;
    }

    /// <summary>The translated code cached for an address in the array in use.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetCode(JumpEntry* array, ulong linear, out byte* code)
    {
        JumpEntry* entry = array + IndexOf(linear);
        code = entry->Code;
        return entry->Linear == linear && code != _noCode;
    }

    /// <summary>Remembers a block.</summary>
    public void Fill(JumpEntry* array, ulong linear, Block* block, bool global)
    {
        JumpEntry* entry = array + IndexOf(linear);
        int index = (int)(entry - _entries);
        uint stamp = global ? _globalStamp : _localStamp;
        if (_stamps[index] != stamp)
        {
            _stamps[index] = stamp;
            (global ? _global : _local).Add((ushort)index);
        }

        (global ? _globalPages : _localPages)[PageWord(linear)] |= PageBit(linear);
        entry->Code = _noCode;
        entry->Linear = linear;
        _blocks[index] = block;
    }

    /// <summary>Gives the entry of a block its code.</summary>
    public void SetCode(JumpEntry* array, ulong linear, Block* block, byte* code)
    {
        JumpEntry* entry = array + IndexOf(linear);
        if (entry->Linear == linear && _blocks[entry - _entries] == block)
        {
            entry->Code = code;
        }
    }

    /// <summary>Says how a page of code is mapped.</summary>
    public void SetMapping(ulong linear, uint number, bool global)
    {
        int slot = ContextLayout.MappingSlot(linear);
        _mappings[slot] = number;
        _localMappingsAbove |= !global && slot >= ProcessorContext.MappingsBelow;
    }

    /// <summary>Says where a physical page of code is, by its number; 0: it has none.</summary>
    public void SetPlace(ulong linear, uint number)
    {
        ulong* place = _places + ContextLayout.PlaceSlot(number);
        ulong content = (linear & PageMask) | (uint)ContextLayout.PlaceCheck(number);
        if (number == 0 || *place == content)
        {
            return;
        }

        if (*place == 0)
        {
            _placeJournal.Add((ushort)ContextLayout.PlaceSlot(number));
        }

        *place = content;
        _localPages[PageWord(linear)] |= PageBit(linear);
    }

    /// <summary>Forgets one page.</summary>
    public void FlushPage(ulong linear)
    {
        if (((_localPages[PageWord(linear)] | _globalPages[PageWord(linear)]) & PageBit(linear)) != 0)
        {
            FlushPlaces(linear & PageMask);
        }

        _mappings[ContextLayout.MappingSlot(linear)] = 0;
        FlushPage(_local, _localPages, linear);
        FlushPage(_global, _globalPages, linear);
    }

    /// <summary>Forgets all pages that are not global.</summary>
    public void FlushLocal()
    {
        Flush(_local);
        FlushPlaces();
        NextStamps(global: false);
        System.Array.Clear(_localPages);
        new Span<uint>(_mappings, _localMappingsAbove ? ProcessorContext.MappingCount : ProcessorContext.MappingsBelow).Clear();
        _localMappingsAbove = false;
    }

    /// <summary>Forgets everything.</summary>
    public void FlushAll()
    {
        Flush(_local);
        Flush(_global);
        FlushPlaces();
        NextStamps(global: true);
        new Span<uint>(_mappings, ProcessorContext.MappingCount).Clear();
        _localMappingsAbove = false;
        System.Array.Clear(_localPages);
        System.Array.Clear(_globalPages);
    }

    /// <summary>Forgets everything, entry by entry: the blocks are gone.</summary>
    public void Clear()
    {
        for (int i = 0; i < Count * ArrayCount; i++)
        {
            Empty(i);
        }

        FlushAll();
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_blocks);
    }

    private static int PageWord(ulong linear) => (int)(linear >> 18) & (PageWords - 1);

    private static ulong PageBit(ulong linear) => 1UL << (int)((linear >> 12) & 63);

    // From now on no entry is named in the journal that was flushed. When the numbers begin again, no old one may be taken for a new one.
    private void NextStamps(bool global)
    {
        _localStamp += 2;
        _globalStamp += global ? 2u : 0;
        if (_localStamp == 0 || _globalStamp == 1)
        {
            System.Array.Clear(_stamps);
            _localStamp = Math.Max(_localStamp, 2);
            _globalStamp = Math.Max(_globalStamp, 3);
        }
    }

    private void FlushPage(FlushJournal<ushort> journal, ulong[] pages, ulong linear)
    {
        if ((pages[PageWord(linear)] & PageBit(linear)) == 0)
        {
            return;
        }

        ulong page = linear & PageMask;
        if (journal.Overflowed)
        {
            for (int i = 0; i < Count * ArrayCount; i++)
            {
                EmptyIf(i, page);
            }
        }
        else
        {
            foreach (ushort i in journal.Entries)
            {
                EmptyIf(i, page);
            }
        }
    }

    private void EmptyIf(int index, ulong page)
    {
        if ((_entries[index].Linear & PageMask) == page)
        {
            Empty(index);
        }
    }

    private void FlushPlaces()
    {
        if (_placeJournal.Overflowed)
        {
            new Span<ulong>(_places, ProcessorContext.PlaceCount).Clear();
        }

        foreach (ushort slot in _placeJournal.Entries)
        {
            _places[slot] = 0;
        }

        _placeJournal.Reset();
    }

    // What is forgotten stays named, and may be named again.
    private void FlushPlaces(ulong page)
    {
        if (_placeJournal.Overflowed)
        {
            FlushPlaces();
        }

        foreach (ushort slot in _placeJournal.Entries)
        {
            if ((_places[slot] & PageMask) == page)
            {
                _places[slot] = 0;
            }
        }
    }

    private void Flush(FlushJournal<ushort> journal)
    {
        if (journal.Overflowed)
        {
            for (int i = 0; i < Count * ArrayCount; i++)
            {
                Empty(i);
            }
        }
        else
        {
            foreach (ushort index in journal.Entries)
            {
                Empty(index);
            }
        }

        journal.Reset();
    }

    private void Empty(int index)
    {
        // This address's own index differs from this one, so that no look-up ever compares with it.
        _entries[index].Linear = (ulong)((index & (Count - 1)) ^ 1);
        _entries[index].Code = _noCode;
        _blocks[index] = null;
    }
}
