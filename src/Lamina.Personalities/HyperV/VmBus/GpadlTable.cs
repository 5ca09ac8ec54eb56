using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>
/// Lists of guest pages that channels name by a handle. There are so many lists, each has so many pages at most, and all together as many as the devices on the bus have use for; a guest that
/// wants more is refused.
/// </summary>
internal sealed class GpadlTable
{
    /// <summary>Most pages of a list.</summary>
    internal const int MaximumPages = 8191;

    private const int LeastLists = 128;
    private const int RangeHeader = 8;
    private const int SavedHeader = 16;

    // As many fewer lists there were before their number was saved.
    private const int LaterLists = 32;

    // All that devices which came and went can have asked for.
    private const int MaximumRoom = 1 << 20;

    private List[] _lists = [];
    private ulong[] _pages = [];
    private int _quota;

    internal GpadlTable() => Extend(0, LeastLists);

    /// <summary>Makes room for more pages and lists.</summary>
    internal void Extend(int pages, int lists = 0)
    {
        _quota += pages;
        Array.Resize(ref _pages, Math.Max(_pages.Length, _quota));
        int count = _lists.Length;
        Array.Resize(ref _lists, count + lists);
        for (int i = count; i < _lists.Length; i++)
        {
            _lists[i] = new List();
        }
    }

    /// <summary>Keeps room of so many pages for whoever wants it next.</summary>
    internal void Reduce(int pages) => _quota -= pages;

    internal void Reset()
    {
        foreach (List list in _lists)
        {
            list.Handle = 0;
        }
    }

    /// <summary>Begins a list with its first pages.</summary>
    /// <param name="handle">Its handle.</param>
    /// <param name="channel">The channel that it belongs to.</param>
    /// <param name="bufferLength">Bytes of the whole description.</param>
    /// <param name="ranges">Number of ranges.</param>
    /// <param name="range">The first bytes of the description.</param>
    /// <returns><c>false</c> if it cannot be had.</returns>
    internal bool TryBegin(uint handle, uint channel, ushort bufferLength, ushort ranges, ReadOnlySpan<byte> range)
    {
        int pages = (bufferLength - RangeHeader) / sizeof(ulong);
        List? list = Find(0);
        if (handle == 0 || ranges != 1 || pages is <= 0 or > MaximumPages || Find(handle) is not null || list is null || range.Length < RangeHeader
            || BinaryPrimitives.ReadUInt32LittleEndian(range[4..]) != 0 || !TryPlace(pages, out int start))
        {
            return false;
        }

        (list.Handle, list.Channel, list.Start, list.Expected, list.Count) = (handle, channel, start, pages, 0);
        Add(list, range[RangeHeader..]);
        return true;
    }

    /// <summary>Adds pages.</summary>
    internal void Continue(uint handle, ReadOnlySpan<byte> pages)
    {
        if (handle != 0 && Find(handle) is { } list)
        {
            Add(list, pages);
        }
    }

    /// <summary>Whether a list has all its pages.</summary>
    internal bool IsComplete(uint handle, out uint channel)
    {
        List? list = handle == 0 ? null : Find(handle);
        channel = list?.Channel ?? 0;
        return list is not null && list.Count == list.Expected;
    }

    /// <summary>The pages' numbers; empty if there is no such list, it is not complete, or another channel's.</summary>
    internal ReadOnlySpan<ulong> GetPages(uint handle, uint channel)
    {
        return IsComplete(handle, out uint owner) && owner == channel && Find(handle) is { } list ? _pages.AsSpan(list.Start, list.Count) : [];
    }

    /// <summary>Forgets a list.</summary>
    internal void Remove(uint handle)
    {
        if (handle != 0 && Find(handle) is { } list)
        {
            list.Handle = 0;
        }
    }

    /// <summary>Forgets the lists of a channel.</summary>
    internal void RemoveAll(uint channel)
    {
        foreach (List list in _lists)
        {
            if (list.Channel == channel)
            {
                list.Handle = 0;
            }
        }
    }

    internal void Save(IStateWriter state, ushort countField, ushort field)
    {
        state.Write(countField, (ulong)(uint)_lists.Length);
        Span<byte> header = stackalloc byte[SavedHeader];
        for (int i = 0; i < _lists.Length; i++)
        {
            List list = _lists[i];
            BinaryPrimitives.WriteUInt32LittleEndian(header, list.Handle);
            BinaryPrimitives.WriteUInt32LittleEndian(header[4..], list.Channel);
            BinaryPrimitives.WriteInt32LittleEndian(header[8..], list.Handle == 0 ? 0 : list.Expected);
            BinaryPrimitives.WriteInt32LittleEndian(header[12..], list.Handle == 0 ? 0 : list.Start);
            state.Write((ushort)(field + (2 * i)), header);
            state.Write((ushort)(field + (2 * i) + 1), list.Handle == 0 ? [] : MemoryMarshal.AsBytes(_pages.AsSpan(list.Start, list.Count)));
        }
    }

    internal bool Restore(IStateReader state, ushort countField, ushort field)
    {
        Reset();
        Span<byte> header = stackalloc byte[SavedHeader];
        ulong count = (ulong)(_lists.Length - LaterLists);
        if (state.TryRead(countField, out ulong saved))
        {
            count = saved;
        }

        if (count > (ulong)_lists.Length)
        {
            return false;
        }

        for (int i = 0; i < (int)count; i++)
        {
            List list = _lists[i];
            if (!state.TryTake((ushort)(field + (2 * i)), header))
            {
                return false;
            }

            uint handle = BinaryPrimitives.ReadUInt32LittleEndian(header);
            if (handle == 0)
            {
                continue;
            }

            list.Channel = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            list.Expected = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
            list.Start = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
            if (list.Expected is <= 0 or > MaximumPages || list.Start is < 0 or > MaximumRoom - MaximumPages || Overlaps(list.Start, list.Expected, out _))
            {
                return false;
            }

            // Devices may have gone since the room was made.
            Array.Resize(ref _pages, Math.Max(_pages.Length, list.Start + list.Expected));

            int length = state.TryRead((ushort)(field + (2 * i) + 1), MemoryMarshal.AsBytes(_pages.AsSpan(list.Start, list.Expected)));
            if (length < 0)
            {
                return false;
            }

            list.Count = length / sizeof(ulong);
            list.Handle = handle;
        }

        return true;
    }

    // The first gap between lists that is long enough.
    private bool TryPlace(int pages, out int start)
    {
        start = 0;
        while (start + pages <= _pages.Length)
        {
            if (!Overlaps(start, pages, out int end))
            {
                return true;
            }

            start = end;
        }

        return false;
    }

    private bool Overlaps(int start, int pages, out int end)
    {
        foreach (List list in _lists)
        {
            end = list.Start + list.Expected;
            if (list.Handle != 0 && start < end && list.Start < start + pages)
            {
                return true;
            }
        }

        end = 0;
        return false;
    }

    private List? Find(uint handle)
    {
        foreach (List list in _lists)
        {
            if (list.Handle == handle)
            {
                return list;
            }
        }

        return null;
    }

    private void Add(List list, ReadOnlySpan<byte> pages)
    {
        while (pages.Length >= sizeof(ulong) && list.Count < list.Expected)
        {
            _pages[list.Start + list.Count++] = BinaryPrimitives.ReadUInt64LittleEndian(pages);
            pages = pages[sizeof(ulong)..];
        }
    }

    private sealed class List
    {
        internal uint Handle { get; set; }

        internal uint Channel { get; set; }

        /// <summary>Where its pages begin among all.</summary>
        internal int Start { get; set; }

        internal int Expected { get; set; }

        internal int Count { get; set; }
    }
}
