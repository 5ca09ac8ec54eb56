using System.Runtime.InteropServices;

namespace Lamina.Machine.Memory;

/// <summary>
/// A few pages beside the RAM of a machine that can be put at guest-physical addresses where there is no RAM, while the machine runs: from then on they are memory there like any other, until the
/// machine is reset. They are in no region of <see cref="GuestMemory.Regions"/>, and so no part of what is saved as RAM: who has made them saves them.
/// </summary>
public sealed unsafe class GuestMemoryOverlay
{
    private const int PageSize = GuestMemory.PageSize;
    private readonly GuestMemory _memory;
    private readonly ulong[] _addresses;
    private int _count;
    private byte* _pages;
    private byte* _attributes;

    internal GuestMemoryOverlay(GuestMemory memory, int pages)
    {
        _memory = memory;
        _addresses = new ulong[pages];

        // SAFETY: both are freed in Free, with the memory itself, and indexed only by numbers below the number of pages.
        _pages = (byte*)NativeMemory.AlignedAlloc((nuint)pages * PageSize, PageSize);
        _attributes = (byte*)NativeMemory.AllocZeroed((nuint)pages);
        NativeMemory.Clear(_pages, (nuint)pages * PageSize);
    }

    /// <summary>How many pages are somewhere.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Where a page is.</summary>
    /// <param name="page">Its number, below <see cref="Count"/>: in the order in which they were placed.</param>
    public ulong GetAddress(int page) => _addresses[page];

    /// <summary>
    /// Has a page at an address, which holds zeroes if there was none before. Processors that run go on beside it; one call at a time.
    /// </summary>
    /// <param name="address">The address of a page.</param>
    /// <returns><c>false</c> if it is 0 or not the address of a page, if there is RAM, if all pages are elsewhere, or if the accelerator cannot have one there.</returns>
    public bool TryPlace(ulong address)
    {
        if (address == 0 || (address & (PageSize - 1)) != 0)
        {
            return false;
        }

        if (Find(address, PageSize, out _) != null)
        {
            return true;
        }

        if (_count == _addresses.Length || _memory.GetHostAddress(address, 1) != 0)
        {
            return false;
        }

        IOverlayListener[] listeners = _memory.OverlayListeners;
        for (int n = 0; n < listeners.Length; n++)
        {
            if (!listeners[n].TryMap(_count, address, HostAddressOf(_count)))
            {
                while (--n >= 0)
                {
                    listeners[n].Unmap(_count);
                }

                return false;
            }
        }

        // Others look at as many as they see.
        _addresses[_count] = address;
        Volatile.Write(ref _count, _count + 1);
        return true;
    }

    /// <summary>Takes all pages away, with what they hold. While no processor runs and nobody else uses the memory.</summary>
    public void Clear()
    {
        int count = _count;
        Volatile.Write(ref _count, 0);
        for (int page = 0; page < count; page++)
        {
            _memory.InvalidateCode(_addresses[page], PageSize);
            foreach (IOverlayListener listener in _memory.OverlayListeners)
            {
                listener.Unmap(page);
            }
        }

        // SAFETY: as many as were allocated.
        NativeMemory.Clear(_pages, (nuint)count * PageSize);
        NativeMemory.Clear(_attributes, (nuint)count);
    }

    /// <summary>Tells of all pages that are somewhere. While no page is placed.</summary>
    /// <returns><c>false</c> if the listener cannot have one of them.</returns>
    internal bool TryTell(IOverlayListener listener)
    {
        for (int page = 0; page < _count; page++)
        {
            if (!listener.TryMap(page, _addresses[page], HostAddressOf(page)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The attributes of a page that was found.</summary>
    internal byte* AttributesOf(int page) => _attributes + page;

    /// <summary>Finds what holds a range of one page; null if there is none.</summary>
    internal byte* Find(ulong address, ulong length, out int page)
    {
        ulong offset = address & (PageSize - 1);
        ulong start = address - offset;
        int count = Volatile.Read(ref _count);
        for (page = 0; page < count; page++)
        {
            if (_addresses[page] == start)
            {
                // SAFETY: the offset and the length stay in the page.
                return length <= PageSize - offset ? _pages + ((nint)page * PageSize) + offset : null;
            }
        }

        return null;
    }

    internal void Free()
    {
        _count = 0;
        NativeMemory.AlignedFree(_pages);
        NativeMemory.Free(_attributes);
        _pages = null;
        _attributes = null;
    }

    private nint HostAddressOf(int page) => (nint)(_pages + ((nint)page * PageSize));
}
