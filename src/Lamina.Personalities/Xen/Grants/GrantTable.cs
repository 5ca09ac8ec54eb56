using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen.Grants;

/// <summary>
/// The grant table of the guest, version 1 (xen/include/public/grant_table.h). The guest has its frames where it wants them: in its RAM, or where there is none; there they are memory from then on. The
/// control domain looks a grant up for each use and maps nothing, so none is ever in use when the guest ends it, whatever the guest is shown.
/// </summary>
internal sealed partial class GrantTable
{
    /// <summary>Most frames.</summary>
    internal const int MaximumFrames = 32;

    /// <summary>Most grants.</summary>
    internal const int MaximumEntries = MaximumFrames * (int)EntriesPerFrame;

    // Each frame once, and again somewhere else: by the kernel that a guest has started in its place.
    private const int OverlayPages = 2 * MaximumFrames;
    private const int PageSize = GuestMemory.PageSize;
    private const int EntryLength = 8;
    private const uint EntriesPerFrame = PageSize / EntryLength;
    private const ushort TypeMask = 3;
    private const ushort PermitAccess = 1;
    private const ushort ReadOnly = 4;
    private const ushort Reading = 8;
    private const ushort Writing = 16;
    private const ushort SubPage = 1 << 8;

    private readonly GuestMemory _memory;
    private readonly GuestMemoryOverlay _overlay;
    private readonly byte[] _entries = new byte[MaximumFrames * PageSize];

    // Where a frame is; 0 for nowhere.
    private readonly ulong[] _places = new ulong[MaximumFrames];

    internal GrantTable(GuestMemory memory)
    {
        _memory = memory;
        _overlay = memory.CreateOverlay(OverlayPages);
    }

    /// <summary>Frames that the guest has.</summary>
    internal uint FrameCount { get; private set; } = 1;

    internal void Reset()
    {
        Array.Clear(_entries);
        Array.Clear(_places);
        _overlay.Clear();
        FrameCount = 1;
    }

    /// <summary>Gives the guest more frames.</summary>
    /// <returns><c>false</c> if those are too many.</returns>
    internal bool TryGrow(uint frames)
    {
        FrameCount = frames <= MaximumFrames ? Math.Max(FrameCount, frames) : FrameCount;
        return frames <= MaximumFrames;
    }

    /// <summary>Where a frame is; 0 if it is nowhere.</summary>
    internal ulong GetPlace(int frame) => _places[frame];

    /// <summary>Puts a frame into RAM, or where there is none. With the domain's lock held.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="address">The address.</param>
    /// <param name="free">There is nothing else at the address, if there is no RAM.</param>
    internal bool TryPlace(uint frame, ulong address, bool free = false)
    {
        if (address == 0 || frame >= MaximumFrames || (_memory.GetHostAddress(address, PageSize) == 0 && !(free && _overlay.TryPlace(address))))
        {
            return false;
        }

        TryGrow(frame + 1);
        TakeBack(frame);
        _memory.TryWrite(address, _entries.AsSpan((int)frame * PageSize, PageSize));
        Volatile.Write(ref _places[frame], address);
        return true;
    }

    /// <summary>Looks a grant up. Any thread, with or without the domain's lock.</summary>
    /// <param name="reference">Its number.</param>
    /// <param name="write">Whether the page is to be written.</param>
    /// <param name="address">The page: RAM.</param>
    /// <param name="host">Where this process sees it.</param>
    /// <returns><c>false</c> if there is no such grant.</returns>
    internal bool TryGet(uint reference, bool write, out ulong address, out nint host) => TryGet(reference, write, out address, out host, out _);

    /// <summary>Looks a grant up, and shows it to the guest as one that is in use: to be read, and, if it allows that, to be written. A grant in a frame that is nowhere is used, but shows nothing.</summary>
    /// <inheritdoc cref="TryGet(uint, bool, out ulong, out nint)"/>
    internal bool TryUse(uint reference, bool write, out ulong address, out nint host)
    {
        if (!TryGet(reference, write, out address, out host, out uint word))
        {
            return false;
        }

        uint used = word | Reading | ((word & ReadOnly) != 0 ? 0u : Writing);

        // A guest that changes the entry at this moment has no grant there.
        return used == word || FindEntry(reference) is not (not 0 and ulong entry) || !_memory.TryCompareExchange(entry, used, word, out uint before) || before == word;
    }

    /// <summary>Shows the guest that a grant is no longer in use. Any thread.</summary>
    internal void EndUse(uint reference)
    {
        if (FindEntry(reference) is not 0 and ulong entry)
        {
            _memory.TryAnd(entry, ~(uint)(Reading | Writing), out _);
        }
    }

    // Where an entry lies; 0 if its frame is nowhere.
    private ulong FindEntry(uint reference)
    {
        ulong place = Volatile.Read(ref _places[reference / EntriesPerFrame]);
        return place == 0 ? 0 : place + (reference % EntriesPerFrame * EntryLength);
    }

    // The first word of the entry has the flags and the domain.
    private bool TryGet(uint reference, bool write, out ulong address, out nint host, out uint word)
    {
        const int FrameOffset = 4;
        const int DomainShift = 16;
        Span<byte> entry = stackalloc byte[EntryLength];
        (address, host, word) = (0, 0, 0);
        if (reference / EntriesPerFrame >= FrameCount)
        {
            return false;
        }

        ulong place = FindEntry(reference);
        if (place == 0)
        {
            _entries.AsSpan((int)reference * EntryLength, EntryLength).CopyTo(entry);
        }
        else if (!_memory.TryRead(place, entry))
        {
            return false;
        }

        word = BinaryPrimitives.ReadUInt32LittleEndian(entry);
        if ((word & (TypeMask | SubPage)) != PermitAccess || word >> DomainShift != DomainId.Control || (write && (word & ReadOnly) != 0))
        {
            return false;
        }

        address = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(entry[FrameOffset..]) * PageSize;
        host = _memory.GetHostAddress(address, PageSize);
        return host != 0;
    }

    private void TakeBack(uint frame)
    {
        if (_places[frame] != 0)
        {
            _memory.TryRead(_places[frame], _entries.AsSpan((int)frame * PageSize, PageSize));
            Volatile.Write(ref _places[frame], 0);
        }
    }
}
