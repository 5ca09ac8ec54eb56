using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>A queue of buffers for arriving packets: two rings (struct Vmxnet3_RxDesc), the first with the buffers that packets begin in, and one of completions (Vmxnet3_RxCompDesc).</summary>
internal sealed class RxQueue(GuestMemory memory, int number)
{
    private const int MaximumParts = 32;
    private const uint BufferLengthMask = 0x3fff;
    private const uint BodyBit = 1 << 14;
    private const uint GenerationBit = 1u << 31;
    private const uint EndOfPacket = 1 << 14;
    private const uint StartOfPacket = 1 << 15;
    private const int QueueShift = 16;

    // In the last byte of the first word.
    private const int HashTypeShift = 2;
    private const uint TagStripped = 1 << 15;
    private const int TagShift = 16;
    private const uint ChecksumNotCalculated = 1 << 30;
    private const uint CompletionType = 3 << 24;
    private const uint SegmentedCompletionType = 4 << 24;
    private const uint CompletionGeneration = 1u << 31;

    private readonly DescriptorRing[] _rings = [new(memory), new(memory)];
    private readonly DescriptorRing _completions = new(memory);
    private readonly Part[] _parts = new Part[MaximumParts];
    private ulong _description;
    private int _queueCount;
    private ulong _packets;
    private ulong _bytes;

    /// <summary>Its vector.</summary>
    internal byte Interrupt { get; private set; }

    /// <summary>Whether the driver has set it up.</summary>
    internal bool IsActive => _rings[0].IsActive && _completions.IsActive;

    internal void Reset()
    {
        _rings[0].Reset();
        _rings[1].Reset();
        _completions.Reset();
        _packets = _bytes = 0;
    }

    /// <summary>Sets it up by its description.</summary>
    internal bool TrySetUp(ulong address, ReadOnlySpan<byte> description, int queueCount)
    {
        Reset();
        _description = address;
        _queueCount = queueCount;
        Interrupt = description[SharedArea.RxInterrupt];
        uint second = BinaryPrimitives.ReadUInt32LittleEndian(description[SharedArea.RxRing2Size..]);
        return _rings[0].TrySetUp(BinaryPrimitives.ReadUInt64LittleEndian(description[SharedArea.RingAddress..]), BinaryPrimitives.ReadUInt32LittleEndian(description[SharedArea.RxRingSize..]))
            && (second == 0 || _rings[1].TrySetUp(BinaryPrimitives.ReadUInt64LittleEndian(description[SharedArea.Ring2Address..]), second))
            && _completions.TrySetUp(
                BinaryPrimitives.ReadUInt64LittleEndian(description[SharedArea.RxCompletionAddress..]), BinaryPrimitives.ReadUInt32LittleEndian(description[SharedArea.RxCompletionSize..]));
    }

    /// <summary>Takes a frame.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="arrived">What is known of it.</param>
    /// <param name="status">What the driver is to be told.</param>
    /// <param name="mostParts">How many buffers the driver takes for one.</param>
    /// <param name="tooLong">It would not fit however long it waits.</param>
    /// <returns><c>false</c> if there are not enough buffers.</returns>
    internal bool TryDeliver(ReadOnlySpan<byte> frame, in ArrivedFrame arrived, in ReceiveStatus status, int mostParts, out bool tooLong)
    {
        int count = 0;
        uint room = 0;
        Span<uint> ahead = [0, 0];
        tooLong = false;
        while (room < (uint)frame.Length)
        {
            if (count == Math.Min(mostParts, MaximumParts))
            {
                tooLong = true;
                return false;
            }

            if (!TryFindBuffer(ahead, count == 0, out _parts[count], out tooLong))
            {
                return false;
            }

            room += _parts[count++].Length;
        }

        _rings[0].Advance(ahead[0]);
        _rings[1].Advance(ahead[1]);
        int offset = 0;
        for (int i = 0; i < count; i++)
        {
            ref readonly Part part = ref _parts[i];
            int length = (int)Math.Min(part.Length, (uint)(frame.Length - offset));
            memory.TryWrite(part.Address, frame.Slice(offset, length));
            WriteChecksum(part.Address, offset, length, arrived);
            offset += length;
            Complete(part, (uint)length, isFirst: i == 0, isLast: i == count - 1, status);
        }

        _bytes += (uint)frame.Length;
        _packets++;
        return true;
    }

    /// <summary>Has the driver write its register when it has added buffers, or not.</summary>
    internal void AskForUpdates(bool wanted) => memory.TryWrite(_description + SharedArea.UpdateRxProducer, (byte)(wanted ? 1 : 0));

    /// <summary>Writes counters and state into its description.</summary>
    internal void Describe(bool statistics)
    {
        const int UnicastPackets = 16;
        const int UnicastBytes = 24;
        memory.TryWrite(_description + SharedArea.Stopped, (byte)0);
        memory.TryWrite(_description + SharedArea.Error, 0u);
        if (statistics)
        {
            memory.TryWrite(_description + SharedArea.Statistics + UnicastPackets, _packets);
            memory.TryWrite(_description + SharedArea.Statistics + UnicastBytes, _bytes);
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        _rings[0].Save(state, field);
        _rings[1].Save(state, (ushort)(field + 4));
        _completions.Save(state, (ushort)(field + 8));
        state.Write((ushort)(field + 12), (ulong)Interrupt | ((ulong)(uint)_queueCount << 8));
        state.Write((ushort)(field + 13), _description);
        state.Write((ushort)(field + 14), _packets);
        state.Write((ushort)(field + 15), _bytes);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        ushort both = 0;
        bool valid = _rings[0].Restore(state, field) & _rings[1].Restore(state, (ushort)(field + 4)) & _completions.Restore(state, (ushort)(field + 8))
            & state.TryTake((ushort)(field + 12), ref both) & state.TryTake((ushort)(field + 13), ref _description)
            & state.TryTake((ushort)(field + 14), ref _packets) & state.TryTake((ushort)(field + 15), ref _bytes);
        (Interrupt, _queueCount) = ((byte)both, both >> 8);
        return valid && _queueCount <= Vmxnet3Device.MaximumQueues;
    }

    // A packet begins in a head of the first ring, and goes on in bodies: of the first ring if one is next there, or else of the second. Bodies that the packet before has not needed are passed over.
    private bool TryFindBuffer(Span<uint> ahead, bool head, out Part part, out bool never)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorRing.Entry];
        never = false;
        int ring = 0;
        while (ring < (head ? 1 : 2))
        {
            bool isNew = _rings[ring].TryPeek(ahead[ring], descriptor, out uint index, out bool generation);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
            uint length = word & BufferLengthMask;
            isNew = isNew && (word & GenerationBit) != 0 == generation;
            if (isNew && (word & BodyBit) == 0 == head && length != 0)
            {
                ahead[ring]++;
                part = new Part(BinaryPrimitives.ReadUInt64LittleEndian(descriptor), length, index, ring);
                return true;
            }

            // There will never be more where the next packet begins, and no second ring.
            never |= isNew && !head && !_rings[1].IsActive;
            _ = isNew && head ? ahead[ring]++ : (uint)ring++;
        }

        part = default;
        return false;
    }

    // Its two bytes may be in two buffers.
    private void WriteChecksum(ulong address, int offset, int length, in ArrivedFrame arrived)
    {
        for (int i = 0; i < sizeof(ushort) && arrived.ChecksumPlace != 0; i++)
        {
            int at = arrived.ChecksumPlace + i - offset;
            if (at >= 0 && at < length)
            {
                memory.TryWrite(address + (uint)at, (byte)(arrived.Checksum >> (8 - (8 * i))));
            }
        }
    }

    private void Complete(in Part part, uint length, bool isFirst, bool isLast, in ReceiveStatus status)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorRing.Entry];
        descriptor.Clear();
        uint queue = (uint)(number + (part.Ring * _queueCount));
        BinaryPrimitives.WriteUInt32LittleEndian(
            descriptor, part.Index | (isLast ? EndOfPacket : 0) | (isFirst ? StartOfPacket : 0) | (queue << QueueShift) | (status.Bits == 0 ? ChecksumNotCalculated : 0));
        if (status.SegmentSize != 0)
        {
            descriptor[4] = status.SegmentCount;
        }
        else if (status.HashKind != HashKinds.None)
        {
            // Completions of segments that were left together have another use of these.
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[4..], status.Hash);
            descriptor[3] |= (byte)(GetHashType(status.HashKind) << HashTypeShift);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length | (status.Tag is { } tag ? TagStripped | ((uint)tag << TagShift) : 0));
        uint type = status.SegmentSize != 0 ? SegmentedCompletionType : CompletionType;
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], status.SegmentSize | status.Bits | type | (_completions.Generation ? CompletionGeneration : 0));
        _completions.Put(descriptor);
    }

    private static int GetHashType(HashKinds kind) => kind switch
    {
        HashKinds.Ip4 => 1,
        HashKinds.Tcp4 => 2,
        HashKinds.Ip6 => 3,
        _ => 4,
    };

    private readonly record struct Part(ulong Address, uint Length, uint Index, int Ring);
}
