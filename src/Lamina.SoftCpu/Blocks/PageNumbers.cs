using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Blocks;

/// <summary>
/// The numbers in the context of one processor that guard direct jumps between pages: how pages of code are mapped (<see cref="ProcessorContext.Mappings"/>), and where they are
/// (<see cref="ProcessorContext.Places"/>). Those of a space that is kept are put away while another one is current.
/// </summary>
internal sealed unsafe class PageNumbers(uint* mappings, ulong* places)
{
    private const ulong PageMask = ~0xfffUL;
    private const int PageWords = 64;

    // Which places have been filled in since the last flush.
    private readonly FlushJournal<ushort> _filled = new(ProcessorContext.PlaceCount);
    private readonly Saved?[] _saved = new Saved?[SpaceTable.Count];
    private bool _localMappingsAbove;

    // A bit for each linear page, by the low bits of its number, in which there is a place.
    private readonly ulong[] _pages = new ulong[PageWords];

    // Those of global pages may be dropped while another space is current, and are not put away: a bit for each place, and whether there are mappings.
    private readonly ulong[] _globalPlaces = new ulong[ProcessorContext.PlaceCount / 64];
    private bool _hasGlobalMappings;

    /// <summary>Says how a page of code is mapped.</summary>
    public void SetMapping(ulong linear, uint number, bool global)
    {
        int slot = ContextLayout.MappingSlot(linear);
        mappings[slot] = number;
        _localMappingsAbove |= !global && slot >= ProcessorContext.MappingsBelow;
        _hasGlobalMappings |= global && slot < ProcessorContext.MappingsBelow;
    }

    /// <summary>Says where a physical page of code is, by its number; 0: it has none.</summary>
    public void SetPlace(ulong linear, uint number, bool global)
    {
        int slot = ContextLayout.PlaceSlot(number);
        ulong* place = places + slot;
        ulong content = (linear & PageMask) | (uint)ContextLayout.PlaceCheck(number);
        if (number == 0)
        {
            return;
        }

        MarkGlobal(slot, global);
        if (*place == content)
        {
            return;
        }

        if (*place == 0)
        {
            _filled.Add((ushort)slot);
        }

        *place = content;
        NotePage(linear);
    }

    /// <summary>Forgets one page.</summary>
    public void FlushPage(ulong linear)
    {
        mappings[ContextLayout.MappingSlot(linear)] = 0;
        if ((_pages[(int)(linear >> 18) & (PageWords - 1)] & (1UL << (int)((linear >> 12) & 63))) == 0)
        {
            return;
        }

        if (_filled.Overflowed)
        {
            FlushPlaces();
        }

        // What is forgotten stays named, and may be named again.
        foreach (ushort slot in _filled.Entries)
        {
            if ((places[slot] & PageMask) == (linear & PageMask))
            {
                places[slot] = 0;
            }
        }
    }

    /// <summary>Forgets all pages that are not global, and some that are.</summary>
    public void FlushLocal()
    {
        FlushPlaces();
        FlushLocalMappings();
    }

    /// <summary>Forgets everything.</summary>
    public void FlushAll()
    {
        FlushPlaces();
        new Span<uint>(mappings, ProcessorContext.MappingCount).Clear();
        _localMappingsAbove = false;
        _hasGlobalMappings = false;
        foreach (Saved? saved in _saved)
        {
            saved?.Clear();
        }
    }

    /// <summary>Forgets what was put away of a space.</summary>
    public void FlushSpace(int space) => _saved[space]?.Clear();

    /// <summary>Puts away the numbers of one space, and takes out those of another.</summary>
    public void SwitchSpace(int from, int to)
    {
        Saved saved = _saved[from] ??= new Saved();
        saved.Clear();
        if (!_hasGlobalMappings && !_filled.Overflowed)
        {
            new ReadOnlySpan<uint>(mappings, ProcessorContext.MappingsBelow).CopyTo(saved.Mappings);
            foreach (ushort slot in _filled.Entries)
            {
                if (places[slot] != 0 && !IsGlobal(slot) && saved.PlaceCount < saved.Places.Length)
                {
                    saved.Places[saved.PlaceCount++] = (slot, places[slot]);
                }
            }

            saved.IsEmpty = false;
        }

        FlushLocal();
        _hasGlobalMappings = false;
        if (_saved[to] is { IsEmpty: false } other)
        {
            other.Mappings.CopyTo(new Span<uint>(mappings, ProcessorContext.MappingsBelow));
            foreach ((ushort slot, ulong content) in other.Places.AsSpan(0, other.PlaceCount))
            {
                _filled.Add(slot);
                places[slot] = content;
                MarkGlobal(slot, global: false);
                NotePage(content);
            }
        }
    }

    private bool IsGlobal(int slot) => (_globalPlaces[slot >> 6] & (1UL << (slot & 63))) != 0;

    private void MarkGlobal(int slot, bool global)
    {
        ulong bit = 1UL << (slot & 63);
        ref ulong word = ref _globalPlaces[slot >> 6];
        word = global ? word | bit : word & ~bit;
    }

    private void NotePage(ulong linear) => _pages[(int)(linear >> 18) & (PageWords - 1)] |= 1UL << (int)((linear >> 12) & 63);

    private void FlushLocalMappings()
    {
        new Span<uint>(mappings, _localMappingsAbove ? ProcessorContext.MappingCount : ProcessorContext.MappingsBelow).Clear();
        _localMappingsAbove = false;
    }

    private void FlushPlaces()
    {
        if (_filled.Overflowed)
        {
            new Span<ulong>(places, ProcessorContext.PlaceCount).Clear();
        }

        foreach (ushort slot in _filled.Entries)
        {
            places[slot] = 0;
        }

        _filled.Reset();
        Array.Clear(_pages);
    }

    private sealed class Saved
    {
        // Twice is not named here.
        public readonly (ushort Slot, ulong Content)[] Places = new (ushort, ulong)[ProcessorContext.PlaceCount];
        public readonly uint[] Mappings = new uint[ProcessorContext.MappingsBelow];

        public int PlaceCount { get; set; }

        public bool IsEmpty { get; set; } = true;

        public void Clear()
        {
            PlaceCount = 0;
            IsEmpty = true;
        }
    }
}
