using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Machine.Memory;

/// <summary>
/// Guest-physical RAM. Every access is bounded: an address outside RAM, or a range that leaves its region, answers <c>false</c>
/// and touches nothing. Safe on any thread; a plain access is as atomic as the host makes it.
/// </summary>
public sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>Bytes in a page.</summary>
    public const int PageSize = 4096;

    private const ulong LeastMapping = 256 << 10;

    private readonly GuestMemoryRegion[] _regions;
    private readonly byte*[] _attributes;
    private volatile ICodeInvalidator[] _codeInvalidators = [];
    private volatile IOverlayListener[] _overlayListeners = [];
    private GuestMemoryOverlay? _overlay;

    /// <summary>Describes RAM. Regions are sorted by address here and may not overlap.</summary>
    /// <exception cref="ArgumentException">A region is empty, unaligned, or overlaps another.</exception>
    public GuestMemory(ReadOnlySpan<GuestMemoryRegion> regions)
    {
        _regions = regions.ToArray();
        Array.Sort(_regions, static (a, b) => a.Address.CompareTo(b.Address));
        ulong end = 0;
        foreach (GuestMemoryRegion region in _regions)
        {
            bool unaligned = ((region.Address | region.Length) & (PageSize - 1)) != 0;
            if (region.Length == 0 || unaligned || region.Address < end || region.HostAddress == 0)
            {
                throw new ArgumentException($"RAM region 0x{region.Address:x}+0x{region.Length:x} is empty, unaligned or overlaps another.", nameof(regions));
            }

            Seams += region.Address == end && Size != 0 ? 1 : 0;
            end = region.End;
            Size += region.Length;
        }

        _attributes = new byte*[_regions.Length];
        for (int i = 0; i < _regions.Length; i++)
        {
            // SAFETY: one byte a page, freed in Dispose; indexed only by page numbers inside the region. Of this length, it is a mapping of its own, which is zero without being touched.
            _attributes[i] = (byte*)NativeMemory.AllocZeroed((nuint)Math.Max(_regions[i].Length / PageSize, LeastMapping));
        }
    }

    /// <summary>Bytes of RAM in all regions.</summary>
    public ulong Size { get; }

    /// <summary>How many places there are where one region ends and another begins: what lies across one is found in two parts.</summary>
    public int Seams { get; }

    /// <summary>The regions, by ascending address.</summary>
    public ReadOnlySpan<GuestMemoryRegion> Regions => _regions;

    internal IOverlayListener[] OverlayListeners => _overlayListeners;

    /// <summary>Makes pages that can be put where there is no RAM while the machine runs. Once, and before any processor runs.</summary>
    /// <param name="pages">How many.</param>
    /// <exception cref="InvalidOperationException">There are some already.</exception>
    public GuestMemoryOverlay CreateOverlay(int pages)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pages);
        if (_overlay != null)
        {
            throw new InvalidOperationException("There is an overlay already.");
        }

        return _overlay = new GuestMemoryOverlay(this, pages);
    }

    /// <summary>Adds somebody who is told where pages are that were put where there is no RAM (<see cref="CreateOverlay"/>). While none is put there.</summary>
    /// <returns><c>false</c> if it cannot have one of those that are somewhere already: then it is not added.</returns>
    public bool TryAddOverlayListener(IOverlayListener listener)
    {
        if (_overlay?.TryTell(listener) == false)
        {
            return false;
        }

        _overlayListeners = [.. _overlayListeners, listener];
        return true;
    }

    /// <summary>The opposite. The pages stay where they are.</summary>
    public void RemoveOverlayListener(IOverlayListener listener) => _overlayListeners = Array.FindAll(_overlayListeners, l => l != listener);

    /// <summary>Adds somebody who is told of writes to code. While no processor runs.</summary>
    public void AddCodeInvalidator(ICodeInvalidator invalidator) => _codeInvalidators = [.. _codeInvalidators, invalidator];

    /// <summary>The opposite.</summary>
    public void RemoveCodeInvalidator(ICodeInvalidator invalidator) => _codeInvalidators = Array.FindAll(_codeInvalidators, i => i != invalidator);

    /// <summary>Copies a value out of RAM.</summary>
    /// <returns><c>false</c> if any byte of it is not RAM.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead<T>(ulong address, out T value)
        where T : unmanaged
    {
        byte* p = Find(address, (ulong)sizeof(T), out _);
        if (p == null)
        {
            value = default;
            return false;
        }

        // SAFETY: Find bounded the range inside one host mapping.
        value = Unsafe.ReadUnaligned<T>(p);
        return true;
    }

    /// <summary>Copies a value into RAM.</summary>
    /// <returns><c>false</c>, with nothing written, if any byte of it is not RAM.</returns>
    public bool TryWrite<T>(ulong address, T value)
        where T : unmanaged
    {
        byte* p = Find(address, (ulong)sizeof(T), out int region);
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the range inside one host mapping.
        Unsafe.WriteUnaligned(p, value);
        Written(region, address, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Sets bits of an aligned value of 32 bits, atomically.</summary>
    /// <param name="address">Where.</param>
    /// <param name="bits">Which.</param>
    /// <param name="before">The value that was there.</param>
    /// <returns><c>false</c>, with nothing written, if it is not RAM, or not aligned.</returns>
    public bool TryOr(ulong address, uint bits, out uint before)
    {
        byte* p = FindWord(address, out int region);
        before = 0;
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the value inside one host mapping.
        before = Interlocked.Or(ref Unsafe.AsRef<uint>(p), bits);
        Written(region, address, sizeof(uint));
        return true;
    }

    /// <summary>Keeps bits of an aligned value of 32 bits and clears the others, atomically.</summary>
    /// <param name="address">Where.</param>
    /// <param name="bits">Which are kept.</param>
    /// <param name="before">The value that was there.</param>
    /// <returns><c>false</c>, with nothing written, if it is not RAM, or not aligned.</returns>
    public bool TryAnd(ulong address, uint bits, out uint before)
    {
        byte* p = FindWord(address, out int region);
        before = 0;
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the value inside one host mapping.
        before = Interlocked.And(ref Unsafe.AsRef<uint>(p), bits);
        Written(region, address, sizeof(uint));
        return true;
    }

    /// <summary>Replaces an aligned value of 32 bits if it is the one expected, atomically.</summary>
    /// <param name="address">Where.</param>
    /// <param name="value">The new value.</param>
    /// <param name="expected">The value that must be there.</param>
    /// <param name="before">The value that was there.</param>
    /// <returns><c>false</c>, with nothing written, if it is not RAM, or not aligned.</returns>
    public bool TryCompareExchange(ulong address, uint value, uint expected, out uint before)
    {
        byte* p = FindWord(address, out int region);
        before = 0;
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the value inside one host mapping.
        before = Interlocked.CompareExchange(ref Unsafe.AsRef<uint>(p), value, expected);
        if (before == expected)
        {
            Written(region, address, sizeof(uint));
        }

        return true;
    }

    /// <summary>Copies bytes out of RAM. The range must lie in one region.</summary>
    /// <returns><c>false</c>, with nothing copied, if any byte of it is not RAM.</returns>
    public bool TryRead(ulong address, Span<byte> destination)
    {
        byte* p = Find(address, (ulong)destination.Length, out _);
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the range inside one host mapping.
        new ReadOnlySpan<byte>(p, destination.Length).CopyTo(destination);
        return true;
    }

    /// <summary>Copies bytes into RAM. The range must lie in one region.</summary>
    /// <returns><c>false</c>, with nothing written, if any byte of it is not RAM.</returns>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        byte* p = Find(address, (ulong)source.Length, out int region);
        if (p == null)
        {
            return false;
        }

        // SAFETY: Find bounded the range inside one host mapping.
        source.CopyTo(new Span<byte>(p, source.Length));
        Written(region, address, (ulong)source.Length);
        return true;
    }

    /// <summary>
    /// Says that bytes were written through <see cref="GetHostAddress"/>, after they were: notes the pages as dirty, and drops what was translated from them. Nothing
    /// happens for a range that is not RAM.
    /// </summary>
    public void MarkWritten(ulong address, ulong length)
    {
        if (Find(address, length, out int region) != null)
        {
            Written(region, address, length);
        }
    }

    /// <summary>The host address of a range of RAM, for processors and bulk payload; 0 if any byte is not RAM or it leaves its region.</summary>
    public nint GetHostAddress(ulong address, ulong length) => (nint)Find(address, length, out _);

    /// <summary>The host address of the first bytes of a range, which may go on in another region; 0 if they are not RAM.</summary>
    /// <param name="address">Where it begins.</param>
    /// <param name="length">Its length; afterwards how much of that lies in the region of its beginning. As it was if that is no RAM.</param>
    public nint GetHostPart(ulong address, ref ulong length)
    {
        foreach (ref readonly GuestMemoryRegion region in _regions.AsSpan())
        {
            ulong offset = address - region.Address;
            if (offset < region.Length)
            {
                length = Math.Min(length, region.Length - offset);
                return region.HostAddress + (nint)offset;
            }
        }

        return 0;
    }

    /// <summary>The attribute byte of the page that holds <paramref name="address"/>; null if it is not RAM.</summary>
    public byte* GetPageAttributes(ulong address)
    {
        return Find(address, 1, out int region) == null ? null : AttributesOf(region, address, out _);
    }

    /// <summary>Sets attributes on the page that holds <paramref name="address"/>, atomically.</summary>
    /// <returns><c>false</c> if it is not RAM.</returns>
    public bool AddPageAttributes(ulong address, PageAttributes attributes)
    {
        byte* p = GetPageAttributes(address);
        if (p == null)
        {
            return false;
        }

        byte seen;
        do
        {
            seen = Volatile.Read(ref *p);
        }
        while (Interlocked.CompareExchange(ref *p, (byte)(seen | (byte)attributes), seen) != seen);
        return true;
    }

    /// <summary>Clears attributes on the page that holds <paramref name="address"/>, atomically.</summary>
    /// <returns><c>false</c> if it is not RAM.</returns>
    public bool RemovePageAttributes(ulong address, PageAttributes attributes)
    {
        byte* p = GetPageAttributes(address);
        if (p == null)
        {
            return false;
        }

        byte seen;
        do
        {
            seen = Volatile.Read(ref *p);
        }
        while (Interlocked.CompareExchange(ref *p, (byte)(seen & ~(byte)attributes), seen) != seen);
        return true;
    }

    /// <summary>Moves what is known of written pages into a bitmap: afterwards none is dirty. While nobody writes, and before any processor writes again by what it has cached.</summary>
    /// <param name="region">The region's position in <see cref="Regions"/>.</param>
    /// <param name="pages">Gets a bit for each page of the region that was written; other bits stay as they are.</param>
    /// <returns>How many there were.</returns>
    /// <exception cref="ArgumentException">The bitmap is too short.</exception>
    public ulong TakeDirtyPages(int region, Span<ulong> pages)
    {
        ulong count = _regions[region].Length / PageSize;
        if ((ulong)pages.Length * 64 < count)
        {
            throw new ArgumentException("There is no room for a bit for each page.", nameof(pages));
        }

        // SAFETY: one byte a page, allocated for the region.
        Span<byte> attributes = new(_attributes[region], (int)count);
        ulong taken = 0;
        for (int page = 0; page < attributes.Length; page++)
        {
            if ((page & 7) == 0 && attributes.Length - page >= 8
                && (Unsafe.ReadUnaligned<ulong>(ref attributes[page]) & (ulong)PageAttributes.Dirty * 0x0101_0101_0101_0101) == 0)
            {
                page += 7;
            }
            else if ((attributes[page] & (byte)PageAttributes.Dirty) != 0)
            {
                attributes[page] &= unchecked((byte)~PageAttributes.Dirty);
                pages[page / 64] |= 1UL << (page % 64);
                taken++;
            }
        }

        return taken;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < _attributes.Length; i++)
        {
            NativeMemory.Free(_attributes[i]);
            _attributes[i] = null;
        }

        _overlay?.Free();
    }

    // An aligned value of 32 bits; null if it is not one, or not RAM.
    private byte* FindWord(ulong address, out int region)
    {
        byte* p = Find(address, sizeof(uint), out region);
        return (address & 3) == 0 ? p : null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte* Find(ulong address, ulong length, out int index)
    {
        GuestMemoryRegion[] regions = _regions;
        for (int i = 0; i < regions.Length; i++)
        {
            ref readonly GuestMemoryRegion region = ref regions[i];
            ulong offset = address - region.Address;
            if (offset < region.Length && length <= region.Length - offset)
            {
                index = i;
                return (byte*)region.HostAddress + offset;
            }
        }

        index = -1;
        return _overlay is { } overlay ? FindAbove(overlay, address, length, out index) : null;
    }

    // Pages of the overlay have the numbers after those of the regions.
    private byte* FindAbove(GuestMemoryOverlay overlay, ulong address, ulong length, out int index)
    {
        byte* found = overlay.Find(address, length, out int page);
        index = found == null ? -1 : _regions.Length + page;
        return found;
    }

    // Where what was found begins, and the attributes of the page that holds the address.
    private byte* AttributesOf(int region, ulong address, out ulong start)
    {
        bool above = region >= _regions.Length;
        start = above ? address & ~(ulong)(PageSize - 1) : _regions[region].Address;
        return above ? _overlay!.AttributesOf(region - _regions.Length) : _attributes[region] + ((address - start) / PageSize);
    }

    private void Written(int region, ulong address, ulong length)
    {
        if (length == 0)
        {
            return;
        }

        byte* attributes = AttributesOf(region, address, out ulong start);
        ulong last = ((address + length - 1 - start) / PageSize) - ((address - start) / PageSize);
        bool code = false;
        for (ulong page = 0; page <= last; page++)
        {
            byte seen = Volatile.Read(ref attributes[page]);
            code |= (seen & (byte)PageAttributes.Code) != 0;
            while ((seen & (byte)PageAttributes.Dirty) == 0)
            {
                byte was = Interlocked.CompareExchange(ref attributes[page], (byte)(seen | (byte)PageAttributes.Dirty), seen);
                seen = was == seen ? (byte)(seen | (byte)PageAttributes.Dirty) : was;
            }
        }

        if (code)
        {
            InvalidateCode(address, length);
        }
    }

    /// <summary>Drops what was translated from a range.</summary>
    internal void InvalidateCode(ulong address, ulong length)
    {
        foreach (ICodeInvalidator invalidator in _codeInvalidators)
        {
            invalidator.InvalidateCode(address, length);
        }
    }
}
