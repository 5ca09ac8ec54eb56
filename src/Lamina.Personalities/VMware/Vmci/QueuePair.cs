using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>
/// A queue each way in pages of the guest, each after a page with indices (struct vmci_queue_header): an end writes how far it has produced, and how far it has consumed, into the
/// header of its own queue. The host's own indices are kept here, and the guest's looked at each time.
/// </summary>
internal sealed class QueuePair(GuestMemory memory)
{
    /// <summary>Longest queue in bytes.</summary>
    internal const int MaximumLength = 32 << 10;

    /// <summary>Most pages of both.</summary>
    internal const int MaximumPages = 2 * PagesOfLongest;

    /// <summary>Most pieces of memory that a part of a queue lies in.</summary>
    internal const int MaximumPieces = PagesOfLongest + 1;

    /// <summary>A queue in which both indices are the same is empty, so that one byte stays free.</summary>
    internal const uint MinimumLength = 2;

    private const int PagesOfLongest = 1 + (MaximumLength / GuestMemory.PageSize);
    private const int PageShift = 12;
    private const ulong MaximumFrame = ulong.MaxValue >> PageShift;
    private const ulong ProducerTail = 8;
    private const ulong ConsumerHead = 16;

    // First the guest's own queue, in which it produces.
    private readonly ulong[] _pages = new ulong[MaximumPages];
    private int _pagesOfQueue;
    private uint _head;
    private uint _tail;

    /// <summary>Its name.</summary>
    internal VmciHandle Handle { get; private set; }

    /// <summary>Bytes of each queue; 0 if there is none.</summary>
    internal uint Length { get; private set; }

    /// <summary>Whose it is; null if nobody has been told of it yet.</summary>
    internal SocketConnection? Connection { get; set; }

    /// <summary>The host looks at the pages no more.</summary>
    internal void Release() => (Length, Connection) = (0, null);

    /// <summary>Takes the pages, in which nothing is yet.</summary>
    /// <param name="handle">Its name.</param>
    /// <param name="length">Bytes of each queue.</param>
    /// <param name="frames">Numbers of all pages.</param>
    /// <param name="width">Bytes of a number.</param>
    /// <returns><c>false</c> if there are not as many as belong to the length, or some are not RAM.</returns>
    internal bool TrySetUp(VmciHandle handle, uint length, ReadOnlySpan<byte> frames, int width)
    {
        _pagesOfQueue = 1 + (int)((length + GuestMemory.PageSize - 1) / GuestMemory.PageSize);
        if (length is < MinimumLength or > MaximumLength || frames.Length != 2 * _pagesOfQueue * width)
        {
            return false;
        }

        for (int i = 0; i < 2 * _pagesOfQueue; i++)
        {
            ulong frame = width == sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(frames[(i * width)..]) : BinaryPrimitives.ReadUInt32LittleEndian(frames[(i * width)..]);
            _pages[i] = frame << PageShift;
            if (frame > MaximumFrame || memory.GetHostAddress(_pages[i], GuestMemory.PageSize) == 0)
            {
                return false;
            }
        }

        (Handle, Length, Connection) = (handle, length, null);
        (_head, _tail) = (0, 0);
        WriteHeader(_pages[0]);
        WriteHeader(_pages[_pagesOfQueue]);
        return true;
    }

    /// <summary>Finds what the guest has produced.</summary>
    /// <param name="pieces">Where it lies.</param>
    /// <param name="limit">Most bytes.</param>
    /// <param name="length">How many there are.</param>
    /// <returns>How many pieces; -1 if the guest's index cannot be right.</returns>
    internal int FindData(Span<GuestBuffer> pieces, uint limit, out uint length)
    {
        if (!TryReadIndex(_pages[0] + ProducerTail, out uint tail))
        {
            length = 0;
            return -1;
        }

        length = Math.Min(Distance(_head, tail), limit);
        return Slice(1, _head, length, pieces);
    }

    /// <summary>Has consumed so many bytes.</summary>
    /// <returns>Whether the guest found its queue full, and waits to be told.</returns>
    internal bool Consume(uint length)
    {
        _head = Advance(_head, length);
        memory.TryWrite(_pages[_pagesOfQueue] + ConsumerHead, (ulong)_head);
        Interlocked.MemoryBarrier();
        return TryReadIndex(_pages[0] + ProducerTail, out uint tail) && Length - 1 - Distance(_head, tail) == length;
    }

    /// <summary>Finds room for what the guest is to consume.</summary>
    /// <param name="pieces">Where it is.</param>
    /// <returns>How many pieces; -1 if the guest's index cannot be right.</returns>
    internal int FindRoom(Span<GuestBuffer> pieces)
    {
        return TryReadIndex(_pages[0] + ConsumerHead, out uint head) ? Slice(_pagesOfQueue + 1, _tail, Length - 1 - Distance(head, _tail), pieces) : -1;
    }

    /// <summary>Has produced so many bytes where there was room.</summary>
    /// <returns>Whether the guest found the queue empty, and waits to be told.</returns>
    internal bool Produce(uint length)
    {
        Span<GuestBuffer> pieces = stackalloc GuestBuffer[MaximumPieces];
        int count = Slice(_pagesOfQueue + 1, _tail, length, pieces);
        for (int i = 0; i < count; i++)
        {
            memory.MarkWritten(pieces[i].Address, pieces[i].Length);
        }

        _tail = Advance(_tail, length);
        Interlocked.MemoryBarrier();
        memory.TryWrite(_pages[_pagesOfQueue] + ProducerTail, (ulong)_tail);
        Interlocked.MemoryBarrier();
        return TryReadIndex(_pages[0] + ConsumerHead, out uint head) && Distance(head, _tail) == length;
    }

    private void WriteHeader(ulong address)
    {
        memory.TryWrite(address, SocketPacket.ToValue(Handle));
        memory.TryWrite(address + ProducerTail, 0UL);
        memory.TryWrite(address + ConsumerHead, 0UL);
    }

    private bool TryReadIndex(ulong address, out uint index)
    {
        bool valid = memory.TryRead(address, out ulong value) && value < Length;
        index = valid ? (uint)value : 0;

        // What lies in the queue is looked at after its index.
        Interlocked.MemoryBarrier();
        return valid;
    }

    private uint Distance(uint from, uint to) => to >= from ? to - from : to + Length - from;

    private uint Advance(uint index, uint length) => index + length >= Length ? index + length - Length : index + length;

    private int Slice(int firstPage, uint offset, uint length, Span<GuestBuffer> pieces)
    {
        int count = 0;
        while (length > 0)
        {
            uint within = offset % GuestMemory.PageSize;
            uint piece = Math.Min(Math.Min(length, GuestMemory.PageSize - within), Length - offset);
            ulong address = _pages[firstPage + (int)(offset / GuestMemory.PageSize)] + within;
            nint host = memory.GetHostAddress(address, piece);
            if (host == 0)
            {
                return -1;
            }

            pieces[count++] = new GuestBuffer(address, host, piece);
            offset = Advance(offset, piece);
            length -= piece;
        }

        return count;
    }
}
