using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>
/// One of a channel's two rings (struct hv_ring_buffer): a page with the indices, and pages of data. The other side's index is copied once and held against the ring's size.
/// </summary>
internal sealed class RingBuffer(GuestMemory memory, int maximumPages = RingBuffer.MaximumPages)
{
    private const ulong WriteIndex = 0;
    private const ulong ReadIndex = 4;
    private const ulong InterruptMask = 8;
    private const ulong PendingSendSize = 12;
    private const int PageShift = 12;
    private const int PageSize = 1 << PageShift;
    private const uint Trailer = 8;
    private const uint Unit = 8;
    private const ulong FrameMask = (1UL << 40) - 1;
    private const int MaximumPages = 512;

    private readonly ulong[] _pages = new ulong[maximumPages];
    private uint _size;
    private uint _own;

    /// <summary>Bytes of data that it holds; 0 while it is not set up.</summary>
    internal uint Size => _size;

    private ulong Control => _pages[0];

    /// <summary>Sets it up over pages of the guest's.</summary>
    /// <param name="frames">Their numbers.</param>
    /// <param name="reads">Whether it is read here, so that the read index is ours.</param>
    /// <returns><c>false</c> if they are not all RAM.</returns>
    internal bool TrySetUp(ReadOnlySpan<ulong> frames, bool reads)
    {
        _size = 0;
        if (frames.Length < 2 || frames.Length > maximumPages)
        {
            return false;
        }

        for (int i = 0; i < frames.Length; i++)
        {
            _pages[i] = (frames[i] & FrameMask) << PageShift;
            if (memory.GetHostAddress(_pages[i], PageSize) == 0)
            {
                return false;
            }
        }

        memory.TryRead(Control + (reads ? ReadIndex : WriteIndex), out _own);
        return TrySetSize(frames.Length);
    }

    /// <summary>Writes two fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        int count = _size == 0 ? 0 : (int)(_size >> PageShift) + 1;
        state.Write(field, MemoryMarshal.AsBytes(_pages.AsSpan(0, count)));
        state.Write((ushort)(field + 1), (ulong)_own);
    }

    /// <summary>Reads them. What the guest can change in its memory, it may have changed: our index is ours.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        _size = 0;
        int length = state.TryRead(field, MemoryMarshal.AsBytes(_pages.AsSpan()));
        bool valid = length >= 2 * sizeof(ulong) && length % sizeof(ulong) == 0 && state.TryTake((ushort)(field + 1), ref _own);
        for (int i = 0; i < length / sizeof(ulong) && valid; i++)
        {
            valid = _pages[i] % PageSize == 0 && memory.GetHostAddress(_pages[i], PageSize) != 0;
        }

        return valid && TrySetSize(length / sizeof(ulong));
    }

    internal void Reset() => _size = 0;

    /// <summary>Has the writer not interrupt while it is being read anyway, or interrupt again.</summary>
    internal void MaskInterrupts(bool masked)
    {
        if (_size != 0)
        {
            memory.TryWrite(Control + InterruptMask, masked ? 1u : 0u);
            if (!masked)
            {
                // Before it is looked for more.
                Interlocked.MemoryBarrier();
            }
        }
    }

    /// <summary>Whether something is there to be read.</summary>
    internal bool HasMore() => _size != 0 && memory.TryRead(Control + WriteIndex, out uint write) && write != _own;

    /// <summary>Copies the next packet.</summary>
    /// <param name="buffer">Where to.</param>
    /// <param name="length">Its length; 0 if there is none.</param>
    /// <returns><c>false</c> if what is there cannot be a packet.</returns>
    internal bool TryTake(Span<byte> buffer, out int length)
    {
        length = 0;
        Span<byte> descriptor = stackalloc byte[VmBusPacket.DescriptorLength];
        if (!TryLook(descriptor, out uint total) || total > buffer.Length)
        {
            return false;
        }

        if (total == 0)
        {
            return true;
        }

        // What was looked at is not read again.
        descriptor.CopyTo(buffer);
        Read((_own + VmBusPacket.DescriptorLength) % _size, buffer[VmBusPacket.DescriptorLength..(int)total]);
        Drop(total);
        length = (int)total;
        return true;
    }

    /// <summary>Copies the first bytes of the next packet and leaves it there.</summary>
    /// <param name="start">Where to; the packet has at least so many.</param>
    /// <param name="total">Bytes of the packet without its trailer; 0 if there is none.</param>
    /// <returns><c>false</c> if what is there cannot be a packet.</returns>
    internal bool TryLook(Span<byte> start, out uint total)
    {
        total = 0;
        if (_size == 0 || !memory.TryRead(Control + WriteIndex, out uint write))
        {
            return true;
        }

        OrderReads();
        if (write >= _size || write % Unit != 0)
        {
            return false;
        }

        uint available = write >= _own ? write - _own : _size - _own + write;
        if (available == 0)
        {
            return true;
        }

        if (available < start.Length + Trailer)
        {
            return false;
        }

        Read(_own, start);
        uint length = BitConverter.ToUInt16(start[4..]) * Unit;
        total = length < start.Length || length + Trailer > available ? 0 : length;
        return total != 0;
    }

    /// <summary>Leaves the next packet behind, which was looked at and has so many bytes.</summary>
    /// <returns>Bytes of the ring that are free with it.</returns>
    internal uint Drop(uint total)
    {
        _own = (_own + total + Trailer) % _size;
        return total + Trailer;
    }

    /// <summary>Finds pieces of the ring: of the next packet, which was looked at, or of the room for it.</summary>
    /// <param name="offset">Where in the packet they begin.</param>
    /// <param name="length">Bytes: not more than there are, or than there is room for.</param>
    /// <param name="pieces">Where they go.</param>
    /// <param name="count">How many there are.</param>
    /// <returns><c>false</c> if they are too many.</returns>
    internal bool TryCollect(uint offset, uint length, Span<GuestBuffer> pieces, out int count)
    {
        uint at = (_own + offset) % _size;
        count = 0;
        while (length > 0)
        {
            uint part = Math.Min(length, PageSize - (at % PageSize));
            ulong address = _pages[1 + (at >> PageShift)] + (at % PageSize);
            nint host = memory.GetHostAddress(address, part);
            if (host == 0 || count == pieces.Length)
            {
                return false;
            }

            pieces[count++] = new GuestBuffer(address, host, part);
            length -= part;
            at = (at + part) % _size;
        }

        return true;
    }

    /// <summary>Shows the writer what was taken.</summary>
    /// <param name="freed">Bytes that were taken since it was shown, for a writer that wants to hear of room only when it comes to be there; 0 for one that may hear of it again.</param>
    /// <returns>Whether the writer waits for room and has it.</returns>
    internal bool ShowTaken(uint freed = 0)
    {
        memory.TryWrite(Control + ReadIndex, _own);
        Interlocked.MemoryBarrier();
        if (!memory.TryRead(Control + PendingSendSize, out uint wanted) || wanted == 0 || !memory.TryRead(Control + WriteIndex, out uint write) || write >= _size)
        {
            return false;
        }

        uint used = write >= _own ? write - _own : _size - _own + write;
        return _size - used > wanted && (freed == 0 || _size - used <= (ulong)wanted + freed);
    }

    /// <summary>Writes a packet.</summary>
    /// <param name="descriptor">Its descriptor, and what else comes before the data.</param>
    /// <param name="data">The data; both together a multiple of 8 bytes.</param>
    /// <param name="interrupts">Whether the reader wants to know.</param>
    /// <returns><c>false</c> if there is no room.</returns>
    internal bool TryPut(ReadOnlySpan<byte> descriptor, ReadOnlySpan<byte> data, out bool interrupts)
    {
        interrupts = false;
        uint total = (uint)(descriptor.Length + data.Length);
        if (!HasRoom(total))
        {
            return false;
        }

        Write((_own + (uint)descriptor.Length) % _size, data);
        interrupts = Publish(descriptor, total);
        return true;
    }

    /// <summary>Completes a packet whose data is in the ring already, behind where its descriptor goes.</summary>
    /// <param name="descriptor">Its descriptor, and what else comes before the data.</param>
    /// <param name="total">Bytes of the whole packet: a multiple of 8, for which there is room.</param>
    /// <returns>Whether the reader wants to know.</returns>
    internal bool Publish(ReadOnlySpan<byte> descriptor, uint total)
    {
        Span<byte> trailer = stackalloc byte[(int)Trailer];
        BitConverter.TryWriteBytes(trailer, (ulong)_own << 32);
        Write(_own, descriptor);
        Write((_own + total) % _size, trailer);
        _own = (_own + total + Trailer) % _size;
        OrderWrites();
        memory.TryWrite(Control + WriteIndex, _own);
        memory.TryWrite(Control + PendingSendSize, 0u);
        Interlocked.MemoryBarrier();
        return memory.TryRead(Control + InterruptMask, out uint mask) && mask == 0;
    }

    /// <summary>Whether there is room for a packet. If there is not, the reader is asked to say when.</summary>
    /// <param name="total">Bytes of the whole packet.</param>
    internal bool HasRoom(uint total) => GetRoom(total) >= total;

    /// <summary>How long the next packet may be. If that is less than is wanted, the reader is asked to say when it can be.</summary>
    /// <param name="wanted">Bytes of a whole packet.</param>
    /// <returns>Bytes of a whole packet, a multiple of 8.</returns>
    internal uint GetRoom(uint wanted)
    {
        uint room = Measure();
        if (room < wanted && _size != 0)
        {
            memory.TryWrite(Control + PendingSendSize, wanted + Trailer);

            // The reader may have made it before it could see that.
            Interlocked.MemoryBarrier();
            room = Measure();
        }

        return room;
    }

    // A full ring would look like an empty one.
    private uint Measure()
    {
        if (_size == 0 || !memory.TryRead(Control + ReadIndex, out uint read) || read >= _size)
        {
            return 0;
        }

        uint used = _own >= read ? _own - read : _size - read + _own;
        uint free = _size - used;
        return free <= Trailer + 1 ? 0 : (free - Trailer - 1) & ~(Unit - 1);
    }

    // .NET 9 has no barrier for reads or writes alone.
    private static void OrderReads()
    {
#if NET10_0_OR_GREATER
        Volatile.ReadBarrier();
#else
        Interlocked.MemoryBarrier();
#endif
    }

    private static void OrderWrites()
    {
#if NET10_0_OR_GREATER
        Volatile.WriteBarrier();
#else
        Interlocked.MemoryBarrier();
#endif
    }

    private bool TrySetSize(int pages)
    {
        uint size = (uint)(pages - 1) << PageShift;
        _size = _own < size && _own % Unit == 0 ? size : 0;
        return _size != 0;
    }

    private void Read(uint offset, Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int length = Math.Min(bytes.Length, PageSize - (int)(offset % PageSize));
            memory.TryRead(_pages[1 + (offset >> PageShift)] + (offset % PageSize), bytes[..length]);
            bytes = bytes[length..];
            offset = (offset + (uint)length) % _size;
        }
    }

    private void Write(uint offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int length = Math.Min(bytes.Length, PageSize - (int)(offset % PageSize));
            memory.TryWrite(_pages[1 + (offset >> PageShift)] + (offset % PageSize), bytes[..length]);
            bytes = bytes[length..];
            offset = (offset + (uint)length) % _size;
        }
    }
}
