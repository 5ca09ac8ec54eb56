using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A buffer of a guest's that lies in pages anywhere. Their numbers are a copy; whether they are RAM is looked at with each use.</summary>
internal sealed class PageBuffer(GuestMemory memory)
{
    private const int PageShift = 12;
    private const uint PageSize = 1 << PageShift;
    private const ulong FrameMask = (1UL << 40) - 1;
    private readonly ulong[] _pages = new ulong[GpadlTable.MaximumPages];
    private int _count;

    /// <summary>Its length; 0 if there is none.</summary>
    internal uint Length => (uint)_count << PageShift;

    /// <summary>Takes pages.</summary>
    internal void Set(ReadOnlySpan<ulong> pages)
    {
        _count = pages.Length;
        for (int i = 0; i < pages.Length; i++)
        {
            _pages[i] = (pages[i] & FrameMask) << PageShift;
        }
    }

    internal void Clear() => _count = 0;

    internal void Save(IStateWriter state, ushort field) => state.Write(field, MemoryMarshal.AsBytes(_pages.AsSpan(0, _count)));

    internal bool Restore(IStateReader state, ushort field)
    {
        int length = state.TryRead(field, MemoryMarshal.AsBytes(_pages.AsSpan()));
        _count = Math.Max(length, 0) / sizeof(ulong);
        foreach (ref ulong page in _pages.AsSpan(0, _count))
        {
            page &= FrameMask << PageShift;
        }

        return length >= 0 && length % sizeof(ulong) == 0;
    }

    /// <summary>Copies bytes into it, as far as there is RAM. What lies behind its end is left out.</summary>
    internal void Write(uint offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && offset < Length)
        {
            int length = Math.Min(bytes.Length, (int)(PageSize - (offset % PageSize)));
            memory.TryWrite(_pages[offset >> PageShift] + (offset % PageSize), bytes[..length]);
            bytes = bytes[length..];
            offset += (uint)length;
        }
    }

    /// <summary>Adds the pieces of a part of it to a list.</summary>
    /// <returns><c>false</c> if they are not all RAM, lie behind the end, or are too many.</returns>
    internal bool TryCollect(uint offset, uint length, Span<GuestBuffer> pieces, ref int count)
    {
        if (offset > Length || length > Length - offset)
        {
            return false;
        }

        while (length > 0)
        {
            uint part = Math.Min(length, PageSize - (offset % PageSize));
            ulong address = _pages[offset >> PageShift] + (offset % PageSize);
            nint host = memory.GetHostAddress(address, part);
            if (host == 0 || count == pieces.Length)
            {
                return false;
            }

            pieces[count++] = new GuestBuffer(address, host, part);
            offset += part;
            length -= part;
        }

        return true;
    }
}
