using System.Buffers.Binary;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen.Grants;

/// <summary>
/// The grant table of the guest, version 1 (xen/include/public/grant_table.h). The guest has its frames where it wants them: in the memory window of the platform device, or in its RAM. The control
/// domain looks a grant up for each use and maps nothing, so none is ever in use when the guest ends it.
/// </summary>
internal sealed class GrantTable : IRegisterWindow
{
    /// <summary>Most frames.</summary>
    internal const int MaximumFrames = 32;

    /// <summary>Length of the memory window.</summary>
    internal const ulong WindowLength = 1 << 20;

    private const int PageSize = GuestMemory.PageSize;
    private const int EntryLength = 8;
    private const uint EntriesPerFrame = PageSize / EntryLength;
    private const int WindowPages = (int)(WindowLength / PageSize);
    private const ushort TypeMask = 3;
    private const ushort PermitAccess = 1;
    private const ushort ReadOnly = 4;
    private const ushort SubPage = 1 << 8;

    private readonly GuestMemory _memory;
    private readonly byte[] _entries = new byte[MaximumFrames * PageSize];

    // Where in RAM a frame is; 0 for none.
    private readonly ulong[] _places = new ulong[MaximumFrames];

    // The frame and 1 that a page of the window shows; 0 for none.
    private readonly byte[] _window = new byte[WindowPages];

    internal GrantTable(GuestMemory memory)
    {
        _memory = memory;
    }

    /// <summary>Frames that the guest has.</summary>
    internal uint FrameCount { get; private set; } = 1;

    internal void Reset()
    {
        Array.Clear(_entries);
        Array.Clear(_places);
        Array.Clear(_window);
        FrameCount = 1;
    }

    /// <summary>Gives the guest more frames.</summary>
    /// <returns><c>false</c> if those are too many.</returns>
    internal bool TryGrow(uint frames)
    {
        FrameCount = frames <= MaximumFrames ? Math.Max(FrameCount, frames) : FrameCount;
        return frames <= MaximumFrames;
    }

    /// <summary>Where a frame is in RAM; 0 if it is not there.</summary>
    internal ulong GetPlace(int frame) => _places[frame];

    /// <summary>Puts a frame at a page of the window. With the domain's lock held.</summary>
    internal bool TryShow(uint frame, ulong windowOffset)
    {
        if (windowOffset >= WindowLength || !TryGrow(frame + 1))
        {
            return false;
        }

        TakeBack(frame);
        _window[windowOffset / PageSize] = (byte)(frame + 1);
        return true;
    }

    /// <summary>Puts a frame into RAM. With the domain's lock held.</summary>
    internal bool TryPlace(uint frame, ulong address)
    {
        if (address == 0 || _memory.GetHostAddress(address, PageSize) == 0 || !TryGrow(frame + 1))
        {
            return false;
        }

        TakeBack(frame);
        _memory.TryWrite(address, _entries.AsSpan((int)frame * PageSize, PageSize));
        _places[frame] = address;
        return true;
    }

    /// <summary>Looks a grant up. Any thread, with or without the domain's lock.</summary>
    /// <param name="reference">Its number.</param>
    /// <param name="write">Whether the page is to be written.</param>
    /// <param name="address">The page: RAM.</param>
    /// <param name="host">Where this process sees it.</param>
    /// <returns><c>false</c> if there is no such grant.</returns>
    internal bool TryGet(uint reference, bool write, out ulong address, out nint host)
    {
        const int DomainOffset = 2;
        const int FrameOffset = 4;
        Span<byte> entry = stackalloc byte[EntryLength];
        (address, host) = (0, 0);
        uint frame = reference / EntriesPerFrame;
        if (frame >= FrameCount)
        {
            return false;
        }

        int offset = (int)(reference % EntriesPerFrame) * EntryLength;
        ulong place = Volatile.Read(ref _places[frame]);
        if (place == 0)
        {
            _entries.AsSpan(((int)frame * PageSize) + offset, EntryLength).CopyTo(entry);
        }
        else if (!_memory.TryRead(place + (uint)offset, entry))
        {
            return false;
        }

        ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(entry);
        ushort domain = BinaryPrimitives.ReadUInt16LittleEndian(entry[DomainOffset..]);
        if ((flags & (TypeMask | SubPage)) != PermitAccess || domain != DomainId.Control || (write && (flags & ReadOnly) != 0))
        {
            return false;
        }

        address = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(entry[FrameOffset..]) * PageSize;
        host = _memory.GetHostAddress(address, PageSize);
        return host != 0;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (TryFind(offset, data.Length, out int at))
        {
            _entries.AsSpan(at, data.Length).CopyTo(data);
            return AccessResult.Done;
        }

        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (TryFind(offset, data.Length, out int at))
        {
            data.CopyTo(_entries.AsSpan(at, data.Length));
            return AccessResult.Done;
        }

        return AccessResult.Unclaimed;
    }

    private bool TryFind(ulong offset, int length, out int at)
    {
        int frame = offset < WindowLength ? Volatile.Read(ref _window[offset / PageSize]) - 1 : -1;
        int inPage = (int)(offset % PageSize);
        at = (frame * PageSize) + inPage;
        return frame >= 0 && inPage + length <= PageSize && _places[frame] == 0;
    }

    private void TakeBack(uint frame)
    {
        if (_places[frame] != 0)
        {
            _memory.TryRead(_places[frame], _entries.AsSpan((int)frame * PageSize, PageSize));
            _places[frame] = 0;
        }
    }
}
