using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The cached block look-ups of one processor, in native memory that emitted code reads: an array for each mode in which an address may mean something else, and
/// the numbers that guard direct jumps between pages (<see cref="PageNumbers"/>). What was found in global pages outlives a load of CR3; so does what was found for 64-bit user code in spaces that are kept
/// (<see cref="SpaceTable"/>), which have arrays of their own.
/// </summary>
internal sealed unsafe class JumpCache : IDisposable
{
    /// <summary>Entries of one array.</summary>
    public const int Count = 16384;

    // 64-bit supervisor code, 64-bit user code in space 0, the same for other code, 64-bit user code in the other spaces.
    private const int UserArray = 1;
    private const int ModeCount = 4;
    private const int ArrayCount = ModeCount + SpaceTable.Count - 1;
    private const int Alignment = 64;
    private const ulong PageMask = ~0xfffUL;

    private readonly byte* _memory;
    private readonly JumpEntry* _entries;
    private readonly Block** _blocks;
    private readonly byte* _noCode;
    private readonly PageNumbers _numbers;

    // Of user code in each space that has been current; of other code; and of global pages.
    private readonly JumpJournal?[] _spaces = new JumpJournal?[SpaceTable.Count];
    private readonly JumpJournal _local = new(2);
    private readonly JumpJournal _global = new(3);

    // By which journal an entry is named since its last flush.
    private readonly uint* _stamps;
    private int _space;

    /// <param name="mappings">See <see cref="ProcessorContext.Mappings"/>.</param>
    /// <param name="places">See <see cref="ProcessorContext.Places"/>.</param>
    /// <param name="noCode">What an entry without translated code holds.</param>
    public JumpCache(uint* mappings, ulong* places, byte* noCode)
    {
        _numbers = new PageNumbers(mappings, places);
        _noCode = noCode;

        // SAFETY: freed in Dispose. Zeroes are empty but where address zero itself would be found; so nothing is touched before it is used.
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)((sizeof(JumpEntry) * Count * ArrayCount) + Alignment));
        _entries = (JumpEntry*)(((nuint)_memory + Alignment - 1) & ~(nuint)(Alignment - 1));
        _blocks = (Block**)NativeMemory.AllocZeroed(Count * ArrayCount, (nuint)sizeof(Block*));
        _stamps = (uint*)NativeMemory.AllocZeroed(Count * ArrayCount, sizeof(uint));
        for (int array = 0; array < ModeCount; array++)
        {
            Empty(array * Count);
        }

        UseSpace(0);
    }

    /// <summary>The array for a mode, in the current space.</summary>
    public JumpEntry* Array(int codeSize, bool user)
    {
        return _entries + ((codeSize != 8 ? (user ? 3 : 2) : user ? UserArrayOf(_space) : 0) * Count);
    }

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
        JumpJournal journal = global ? _global : JournalOf(index / Count);
        if (_stamps[index] != journal.Stamp)
        {
            _stamps[index] = journal.Stamp;
            journal.Entries.Add(index);
        }

        journal.NotePage(linear);
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
    public void SetMapping(ulong linear, uint number, bool global) => _numbers.SetMapping(linear, number, global);

    /// <summary>Says where a physical page of code is, by its number; 0: it has none.</summary>
    public void SetPlace(ulong linear, uint number, bool global) => _numbers.SetPlace(linear, number, global);

    /// <summary>Forgets one page of the current space, and of all others if it is global.</summary>
    public void FlushPage(ulong linear)
    {
        _numbers.FlushPage(linear);
        FlushPage(_local, linear);
        FlushPage(_spaces[_space]!, linear);
        FlushPage(_global, linear);
    }

    /// <summary>Forgets all pages of the current space that are not global.</summary>
    public void FlushLocal()
    {
        _numbers.FlushLocal();
        Flush(_local);
        Flush(_spaces[_space]!);
    }

    /// <summary>Forgets what is kept of a space that is not the current one.</summary>
    public void FlushSpace(int space)
    {
        _numbers.FlushSpace(space);
        if (_spaces[space] is { } journal)
        {
            Flush(journal);
        }
    }

    /// <summary>Forgets all pages of all spaces that are not global.</summary>
    public void FlushSpaces()
    {
        FlushLocal();
        for (int space = 0; space < SpaceTable.Count; space++)
        {
            FlushSpace(space);
        }
    }

    /// <summary>Makes another space the current one; what is kept of it must be flushed if it is a new one.</summary>
    public void SwitchSpace(int space)
    {
        Flush(_local);
        _numbers.SwitchSpace(_space, space);
        UseSpace(space);
    }

    /// <summary>Forgets everything.</summary>
    public void FlushAll()
    {
        FlushSpaces();
        Flush(_global);
        _numbers.FlushAll();
    }

    /// <summary>Forgets everything, entry by entry: the blocks are gone.</summary>
    public void Clear()
    {
        for (int array = 0; array < ArrayCount; array++)
        {
            if (IsUsed(array))
            {
                Clear(array);
            }
        }

        FlushAll();
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_blocks);
        NativeMemory.Free(_stamps);
    }

    private static int UserArrayOf(int space) => space == 0 ? UserArray : ModeCount - 1 + space;

    private JumpJournal JournalOf(int array) => array == UserArray ? _spaces[0]! : array < ModeCount ? _local : _spaces[array - ModeCount + 1]!;

    private void UseSpace(int space)
    {
        if (_spaces[space] == null)
        {
            _spaces[space] = new JumpJournal(2);
            Empty(UserArrayOf(space) * Count);
        }

        _space = space;
    }

    private void FlushPage(JumpJournal journal, ulong linear)
    {
        if (!journal.MayHavePage(linear))
        {
            return;
        }

        ulong page = linear & PageMask;
        if (journal.Entries.Overflowed)
        {
            for (int i = 0; i < Count * ArrayCount; i++)
            {
                if (Holds(journal, i / Count))
                {
                    EmptyIf(i, page);
                }
            }
        }
        else
        {
            foreach (int i in journal.Entries.Entries)
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

    private void Flush(JumpJournal journal)
    {
        if (journal.Entries.Overflowed)
        {
            for (int array = 0; array < ArrayCount; array++)
            {
                if (Holds(journal, array))
                {
                    Clear(array);
                }
            }
        }
        else
        {
            foreach (int index in journal.Entries.Entries)
            {
                Empty(index);
            }
        }

        if (!journal.Reset())
        {
            // Some entries may be named twice then.
            new Span<uint>(_stamps, Count * ArrayCount).Clear();
        }
    }

    // Whether entries of an array may be named in a journal.
    private bool Holds(JumpJournal journal, int array) => IsUsed(array) && (journal == _global || journal == JournalOf(array));

    private bool IsUsed(int array) => array < ModeCount || _spaces[array - ModeCount + 1] != null;

    private void Clear(int array)
    {
        for (int i = array * Count; i < (array + 1) * Count; i++)
        {
            Empty(i);
        }
    }

    private void Empty(int index)
    {
        // This address's own index differs from this one, so that no look-up ever compares with it.
        _entries[index].Linear = (ulong)((index & (Count - 1)) ^ 1);
        _entries[index].Code = _noCode;
        _blocks[index] = null;
    }
}
