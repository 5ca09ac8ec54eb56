using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>A queue of packets to send: a ring of pieces (struct Vmxnet3_TxDesc), and one of completions (Vmxnet3_TxCompDesc).</summary>
internal sealed class TxQueue(GuestMemory memory, PacketSender sender)
{
    private const uint PieceLengthMask = 0x3fff;
    private const uint GenerationBit = 1 << 14;
    private const uint EndOfPacket = 1 << 12;
    private const uint TagInsertion = 1 << 15;
    private const uint CompletionGeneration = 1u << 31;
    private const uint ChecksumMode = 2;
    private const uint SegmentMode = 3;
    private const uint TooManyPieces = 0x8000_0002;
    private const uint InvalidDescriptor = 0x8000_0007;

    private readonly DescriptorRing _ring = new(memory);
    private readonly DescriptorRing _completions = new(memory);
    private readonly GuestBuffer[] _parts = new GuestBuffer[PacketSender.MaximumParts];
    private ulong _packets;
    private ulong _bytes;

    /// <summary>Its vector.</summary>
    internal byte Interrupt { get; private set; }

    /// <summary>Why it has stopped; 0 if it has not.</summary>
    internal uint Error { get; private set; }

    internal void Reset()
    {
        _ring.Reset();
        _completions.Reset();
        Error = 0;
        _packets = _bytes = 0;
    }

    /// <summary>Sets it up by its description.</summary>
    internal bool TrySetUp(ReadOnlySpan<byte> description)
    {
        Reset();
        Interrupt = description[SharedArea.TxInterrupt];
        return _ring.TrySetUp(BinaryPrimitives.ReadUInt64LittleEndian(description[SharedArea.RingAddress..]), BinaryPrimitives.ReadUInt32LittleEndian(description[SharedArea.TxRingSize..]))
            && _completions.TrySetUp(
                BinaryPrimitives.ReadUInt64LittleEndian(description[SharedArea.TxCompletionAddress..]), BinaryPrimitives.ReadUInt32LittleEndian(description[SharedArea.TxCompletionSize..]));
    }

    /// <summary>Sends what is there: at most as many pieces as the ring holds. Those that come meanwhile the driver tells of anew.</summary>
    /// <param name="completed">Whether the driver has something to look at.</param>
    /// <returns><c>false</c> if the wire is full.</returns>
    internal bool Process(out bool completed)
    {
        completed = false;
        uint taken = 0;
        while (_ring.IsActive && _completions.IsActive && Error == 0 && taken < _ring.Size)
        {
            if (!sender.TryFlush())
            {
                return false;
            }

            if (!TryCollect(out int parts, out uint count, out uint last, out PacketOffload offload, out ushort? tag))
            {
                break;
            }

            if (!sender.TrySend(_parts.AsSpan(0, parts), offload, tag))
            {
                return false;
            }

            for (int i = 0; i < parts; i++)
            {
                _bytes += _parts[i].Length;
            }

            _packets++;
            taken += count;
            _ring.Advance(count);
            Complete(last);
            completed = true;
        }

        return true;
    }

    /// <summary>Writes counters and state into its description.</summary>
    internal void Describe(ulong address, bool statistics)
    {
        const int UnicastPackets = 16;
        const int UnicastBytes = 24;
        memory.TryWrite(address + SharedArea.Stopped, (byte)(Error == 0 ? 0 : 1));
        memory.TryWrite(address + SharedArea.Error, Error);
        if (statistics)
        {
            memory.TryWrite(address + SharedArea.Statistics + UnicastPackets, _packets);
            memory.TryWrite(address + SharedArea.Statistics + UnicastBytes, _bytes);
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        _ring.Save(state, field);
        _completions.Save(state, (ushort)(field + 4));
        state.Write((ushort)(field + 8), (ulong)Interrupt);
        state.Write((ushort)(field + 9), (ulong)Error);
        state.Write((ushort)(field + 10), _packets);
        state.Write((ushort)(field + 11), _bytes);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        byte interrupt = 0;
        uint error = 0;
        bool valid = _ring.Restore(state, field) & _completions.Restore(state, (ushort)(field + 4)) & state.TryTake((ushort)(field + 8), ref interrupt)
            & state.TryTake((ushort)(field + 9), ref error) & state.TryTake((ushort)(field + 10), ref _packets) & state.TryTake((ushort)(field + 11), ref _bytes);
        (Interrupt, Error) = (interrupt, error);
        return valid;
    }

    // The pieces of the next packet; false if it is not whole yet, or the driver has made a mistake, which stops the queue.
    private bool TryCollect(out int parts, out uint count, out uint last, out PacketOffload offload, out ushort? tag)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorRing.Entry];
        (parts, count, last, offload, tag) = (0, 0, 0, default, null);
        while (_ring.TryPeek(count, descriptor, out last, out bool generation))
        {
            uint first = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
            uint second = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[12..]);
            if ((first & GenerationBit) != 0 != generation)
            {
                return false;
            }

            if (count++ == 0)
            {
                offload = ReadOffload(first, second);
                tag = (second & TagInsertion) != 0 ? (ushort)(second >> 16) : null;
            }

            uint length = (first & PieceLengthMask) is not 0 and var given ? given : PieceLengthMask + 1;
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            if (!GuestBuffers.TryAdd(memory, _parts, ref parts, address, length))
            {
                Error = parts == _parts.Length ? TooManyPieces : InvalidDescriptor;
                return false;
            }

            if ((second & EndOfPacket) != 0)
            {
                return true;
            }
        }

        return false;
    }

    private static PacketOffload ReadOffload(uint first, uint second)
    {
        int header = (int)(second & 0x3ff);
        int value = (int)(first >> 18);
        return ((second >> 10) & 3) switch
        {
            ChecksumMode when value > header => new PacketOffload(header, value - header, 0),
            SegmentMode => new PacketOffload(0, 0, value),
            _ => default,
        };
    }

    private void Complete(uint last)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorRing.Entry];
        descriptor.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor, last);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], _completions.Generation ? CompletionGeneration : 0);
        _completions.Put(descriptor);
    }
}
