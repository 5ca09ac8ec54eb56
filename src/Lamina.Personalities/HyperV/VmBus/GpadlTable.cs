using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>Lists of guest pages that channels name by a handle. There are so many lists, and each has so many pages at most; a guest that wants more is refused.</summary>
internal sealed class GpadlTable
{
    private const int ListCount = 32;
    private const int MaximumPages = 1024;
    private const int RangeHeader = 8;

    private readonly List[] _lists = new List[ListCount];

    internal GpadlTable()
    {
        for (int i = 0; i < ListCount; i++)
        {
            _lists[i] = new List();
        }
    }

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
            || BinaryPrimitives.ReadUInt32LittleEndian(range[4..]) != 0)
        {
            return false;
        }

        (list.Handle, list.Channel, list.Expected, list.Count) = (handle, channel, pages, 0);
        list.Add(range[RangeHeader..]);
        return true;
    }

    /// <summary>Adds pages.</summary>
    internal void Continue(uint handle, ReadOnlySpan<byte> pages) => Find(handle)?.Add(pages);

    /// <summary>Whether a list has all its pages.</summary>
    internal bool IsComplete(uint handle, out uint channel)
    {
        List? list = handle == 0 ? null : Find(handle);
        channel = list?.Channel ?? 0;
        return list is not null && list.Count == list.Expected;
    }

    /// <summary>The pages' numbers; empty if there is no such list, or it is not complete.</summary>
    internal ReadOnlySpan<ulong> GetPages(uint handle) => IsComplete(handle, out _) ? Find(handle)!.Pages.AsSpan(0, Find(handle)!.Count) : [];

    /// <summary>Forgets a list.</summary>
    internal void Remove(uint handle)
    {
        if (handle != 0 && Find(handle) is { } list)
        {
            list.Handle = 0;
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> bytes = stackalloc byte[16 + (MaximumPages * sizeof(ulong))];
        for (int i = 0; i < ListCount; i++)
        {
            List list = _lists[i];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, list.Handle);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], list.Channel);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], list.Expected);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[12..], list.Count);
            int count = list.Handle == 0 ? 0 : list.Count;
            for (int n = 0; n < count; n++)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(bytes[(16 + (n * sizeof(ulong)))..], list.Pages[n]);
            }

            state.Write((ushort)(field + i), bytes[..(16 + (count * sizeof(ulong)))]);
        }
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        Span<byte> bytes = stackalloc byte[16 + (MaximumPages * sizeof(ulong))];
        for (int i = 0; i < ListCount; i++)
        {
            List list = _lists[i];
            int length = state.TryRead((ushort)(field + i), bytes);
            if (length < 16)
            {
                return false;
            }

            list.Handle = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            list.Channel = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            list.Expected = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
            list.Count = 0;
            if (list.Handle != 0 && list.Expected is <= 0 or > MaximumPages)
            {
                return false;
            }

            list.Add(bytes[16..length]);
        }

        return true;
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

    private sealed class List
    {
        internal uint Handle { get; set; }

        internal uint Channel { get; set; }

        internal int Expected { get; set; }

        internal int Count { get; set; }

        internal ulong[] Pages { get; } = new ulong[MaximumPages];

        internal void Add(ReadOnlySpan<byte> pages)
        {
            while (pages.Length >= sizeof(ulong) && Count < Expected)
            {
                Pages[Count++] = BinaryPrimitives.ReadUInt64LittleEndian(pages);
                pages = pages[sizeof(ulong)..];
            }
        }
    }
}
