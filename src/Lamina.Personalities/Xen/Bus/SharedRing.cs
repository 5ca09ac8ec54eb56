using System.Numerics;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Grants;

namespace Lamina.Personalities.Xen.Bus;

/// <summary>
/// The back end's end of a ring of requests and responses in granted pages (xen/include/public/io/ring.h). The front end writes what it wants: indexes are read once and checked, entries copied
/// once. There is a response for each request, so that a response never overwrites a request that was not taken.
/// </summary>
internal sealed partial class SharedRing(GuestMemory memory, GrantTable grants, int entryLength)
{
    /// <summary>Most pages.</summary>
    internal const int MaximumPages = 4;

    private const int PageSize = GuestMemory.PageSize;
    private const ulong RequestProducer = 0;
    private const ulong RequestEvent = 4;
    private const ulong ResponseProducer = 8;
    private const ulong ResponseEvent = 12;
    private const uint Header = 64;

    private readonly ulong[] _pages = new ulong[MaximumPages];
    private int _pageCount;
    private uint _requests;
    private uint _responses;
    private uint _shown;

    /// <summary>Number of entries, a power of two; 0 while it is not open.</summary>
    internal uint Size { get; private set; }

    /// <summary>Whether the front end has broken the protocol.</summary>
    internal bool IsBroken { get; private set; }

    /// <summary>Opens it over the pages of grants.</summary>
    /// <returns><c>false</c> if a grant is not there.</returns>
    internal bool TryOpen(ReadOnlySpan<uint> references)
    {
        Close();
        if (references.Length is 0 or > MaximumPages)
        {
            return false;
        }

        for (int i = 0; i < references.Length; i++)
        {
            if (!grants.TryGet(references[i], write: true, out _pages[i], out _))
            {
                return false;
            }
        }

        // A ring that was used before goes on where it was.
        memory.TryRead(_pages[0] + ResponseProducer, out _shown);
        _requests = _responses = _shown;
        SetSize(references.Length);
        return true;
    }

    internal void Close() => (Size, _pageCount, IsBroken, _requests, _responses, _shown) = (0, 0, false, 0, 0, 0);

    /// <summary>
    /// Requests that were not taken yet. One that cannot be breaks the ring: a front end has no place for more than it was shown answers of, so that one that asks again and again cannot keep the back end here.
    /// </summary>
    internal uint GetAvailable()
    {
        if (Size == 0 || IsBroken)
        {
            return 0;
        }

        memory.TryRead(_pages[0] + RequestProducer, out uint producer);
        Interlocked.MemoryBarrier();
        uint count = producer - _requests;
        IsBroken = count > Size || producer - _shown > Size;
        return IsBroken ? 0 : count;
    }

    /// <summary>Copies a request that is there.</summary>
    /// <param name="ahead">How many are before it.</param>
    /// <param name="entry">Room for it.</param>
    internal void Peek(uint ahead, Span<byte> entry) => Copy(_requests + ahead, entry, default);

    /// <summary>Takes requests.</summary>
    internal void Advance(uint count) => _requests += count;

    /// <summary>Writes a response.</summary>
    internal void Put(ReadOnlySpan<byte> response)
    {
        if (Size != 0 && !IsBroken)
        {
            Copy(_responses++, default, response);
        }
    }

    /// <summary>Shows the responses to the front end.</summary>
    /// <returns>Whether it wants an event.</returns>
    internal bool Push()
    {
        uint before = _shown;
        if (Size == 0 || _responses == before)
        {
            return false;
        }

        Interlocked.MemoryBarrier();
        memory.TryWrite(_pages[0] + ResponseProducer, _responses);
        Interlocked.MemoryBarrier();
        _shown = _responses;
        return memory.TryRead(_pages[0] + ResponseEvent, out uint wanted) && _responses - wanted < _responses - before;
    }

    /// <summary>Whether there are so many requests. If not, asks for an event when there are, and looks whether they have come already.</summary>
    internal bool FinalCheck(uint wanted = 1)
    {
        if (Size == 0 || IsBroken)
        {
            return false;
        }

        if (GetAvailable() >= wanted)
        {
            return true;
        }

        // Front ends send an event when they come to this one; never for one that they have passed.
        memory.TryWrite(_pages[0] + RequestEvent, _requests + wanted);
        Interlocked.MemoryBarrier();
        return GetAvailable() >= wanted;
    }

    private void SetSize(int pages)
    {
        _pageCount = pages;
        Size = BitOperations.RoundUpToPowerOf2((((uint)pages * PageSize) - Header) / (uint)entryLength);
        Size = Size * (uint)entryLength + Header > (uint)pages * PageSize ? Size / 2 : Size;
    }

    // Entries may lie across pages.
    private void Copy(uint index, Span<byte> entry, ReadOnlySpan<byte> response)
    {
        uint offset = Header + ((index & (Size - 1)) * (uint)entryLength);
        int length = Math.Max(entry.Length, response.Length);
        for (int done = 0; done < length;)
        {
            uint inPage = (offset + (uint)done) % PageSize;
            ulong address = _pages[(offset + (uint)done) / PageSize] + inPage;
            int part = Math.Min(length - done, PageSize - (int)inPage);
            if (response.IsEmpty)
            {
                memory.TryRead(address, entry.Slice(done, part));
            }
            else
            {
                memory.TryWrite(address, response.Slice(done, part));
            }

            done += part;
        }
    }
}
