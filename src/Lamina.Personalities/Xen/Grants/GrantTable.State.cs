using System.Runtime.InteropServices;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Grants;

/// <content>
/// The saved state: where frames are, what those hold that are nowhere, and the pages where there is no RAM, with what they hold: they are in no image of RAM. Pages and frames of zeroes have no bytes.
/// </content>
internal sealed partial class GrantTable
{
    private const ushort SavedPlaces = 1;
    private const ushort SavedPages = 2;
    private const ushort SavedFrames = 64;
    private const ushort SavedContents = 128;

    /// <summary>Writes up to 256 fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> page = stackalloc byte[PageSize];
        Span<ulong> pages = stackalloc ulong[OverlayPages];
        int count = _overlay.Count;
        for (int i = 0; i < count; i++)
        {
            pages[i] = _overlay.GetAddress(i);
            page.Clear();
            _memory.TryRead(pages[i], page);
            state.Write((ushort)(field + SavedContents + i), Shorten(page));
        }

        state.Write(field, (ulong)FrameCount);
        state.Write((ushort)(field + SavedPlaces), MemoryMarshal.AsBytes(_places.AsSpan()));
        state.Write((ushort)(field + SavedPages), MemoryMarshal.AsBytes(pages[..count]));
        for (int i = 0; i < MaximumFrames; i++)
        {
            if (_places[i] == 0)
            {
                state.Write((ushort)(field + SavedFrames + i), Shorten(_entries.AsSpan(i * PageSize, PageSize)));
            }
        }
    }

    /// <summary>Reads them.</summary>
    /// <param name="state">The fields.</param>
    /// <param name="field">The first.</param>
    /// <param name="isFree">Whether there is nothing else at an address without RAM.</param>
    internal bool Restore(IStateReader state, ushort field, Predicate<ulong> isFree)
    {
        Reset();
        byte frames = 0;
        bool valid = state.TryTake(field, MaximumFrames, ref frames) && frames != 0 && TakePages(state, field, isFree)
            && state.TryTake((ushort)(field + SavedPlaces), MemoryMarshal.AsBytes(_places.AsSpan()));
        FrameCount = Math.Max(frames, 1u);
        for (int i = 0; valid && i < MaximumFrames; i++)
        {
            valid = _places[i] != 0
                ? i < frames && _places[i] % PageSize == 0 && _memory.TryRead(_places[i], out byte _)
                : TakePage(state, (ushort)(field + SavedFrames + i), _entries.AsSpan(i * PageSize, PageSize));
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }

    private static ReadOnlySpan<byte> Shorten(ReadOnlySpan<byte> page) => page.ContainsAnyExcept((byte)0) ? page : default;

    private static bool TakePage(IStateReader state, ushort field, Span<byte> page)
    {
        int length = state.TryRead(field, page);
        if (length == 0)
        {
            page.Clear();
        }

        return length is 0 or PageSize;
    }

    private bool TakePages(IStateReader state, ushort field, Predicate<ulong> isFree)
    {
        Span<byte> page = stackalloc byte[PageSize];
        Span<ulong> pages = stackalloc ulong[OverlayPages];
        int length = state.TryRead((ushort)(field + SavedPages), MemoryMarshal.AsBytes(pages));
        bool valid = length >= 0 && length % sizeof(ulong) == 0;
        for (int i = 0; valid && i < length / sizeof(ulong); i++)
        {
            valid = isFree(pages[i]) && _overlay.TryPlace(pages[i]) && _overlay.Count == i + 1
                && TakePage(state, (ushort)(field + SavedContents + i), page) && _memory.TryWrite(pages[i], page);
        }

        return valid;
    }
}
