using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Block;

/// <summary>
/// A disk (virtio 1.2, section 5.2). The guest's notification submits requests to the back end; they complete there or on the back end's threads, in any order. Each place of
/// each queue has a request of its own, so that there is always one free for a buffer that the driver makes available.
/// </summary>
public sealed class BlockDevice : VirtioDevice, IBlockCompletion
{
    /// <summary>Longest serial number, in bytes.</summary>
    public const int SerialLength = 20;

    private const ushort QueueSize = 128;
    private const int MaximumSegments = QueueSize - 2;
    private const int SectorSize = 512;
    private const int SectorShift = 9;
    private const int HeaderLength = 16;
    private const int RangeLength = 16;
    private const int ConfigurationLength = 60;
    private const uint MaximumRangeSectors = 1u << 22;
    private const uint UnmapFlag = 1;

    private readonly IBlockBackend _backend;
    private readonly byte[] _serial = new byte[SerialLength];
    private readonly byte[] _configuration = new byte[ConfigurationLength];
    private readonly DescriptorChain _chain;
    private readonly Slot[] _slots;
    private readonly int[] _free;
    private int _freeCount;

    /// <summary>Makes a disk over a back end.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The content.</param>
    /// <param name="queueCount">Number of queues, such as one a processor.</param>
    /// <param name="serial">Serial number: at most <see cref="SerialLength"/> bytes of ASCII.</param>
    public BlockDevice(string name, ILock gate, GuestMemory memory, IBlockBackend backend, int queueCount, ReadOnlySpan<byte> serial)
        : base(name, DeviceType.Block, gate, memory, queueCount, QueueSize)
    {
        _backend = backend;
        serial[..Math.Min(serial.Length, SerialLength)].CopyTo(_serial);
        _chain = new DescriptorChain(memory, MaximumSegments + 2);
        _slots = new Slot[queueCount * QueueSize];
        _free = new int[_slots.Length];
        BlockRequest[] requests = BlockRequest.Create(_slots.Length, _chain.MaximumParts, this);
        for (int i = 0; i < _slots.Length; i++)
        {
            _slots[i].Request = requests[i];
            _free[i] = i;
        }

        _freeCount = _slots.Length;
        DescribeDisk();
    }

    internal override ulong DeviceFeatures =>
        BlockFeatures.SegmentMaximum | BlockFeatures.BlockSize | BlockFeatures.Flush | BlockFeatures.Topology
        | (Queues.Length > 1 ? BlockFeatures.MultipleQueues : 0)
        | (_backend.IsReadOnly ? BlockFeatures.ReadOnly : BlockFeatures.WriteZeroes | (_backend.CanDiscard ? BlockFeatures.Discard : 0));

    private int InFlight => _slots.Length - _freeCount;

    /// <inheritdoc/>
    public void OnCompleted(BlockRequest request)
    {
        Gate.Enter();
        Virtqueue queue = Finish(request);
        if (!IsRunning)
        {
            if (InFlight == 0)
            {
                OnQuiescent();
            }
        }
        else
        {
            Publish(queue);

            if (_freeCount == 1 && !IsStopped)
            {
                // There was no place for more, and the driver has not been told to say so again.
                OnRunning();
            }
        }

        Gate.Exit();
    }

    /// <summary>The back end's length has changed.</summary>
    public void Resize()
    {
        Gate.Enter();
        DescribeDisk();
        ChangeConfiguration();
        Gate.Exit();
    }

    internal override void ReadConfiguration(uint offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length && offset + (uint)i < ConfigurationLength; i++)
        {
            data[i] = _configuration[offset + (uint)i];
        }
    }

    internal override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
    }

    private protected override bool AcceptsFeatures(ulong features) => true;

    private protected override void StopBackend() => _backend.Drain();

    private protected override void OnRunning()
    {
        foreach (Virtqueue queue in Queues)
        {
            Submit(queue);
        }
    }

    private protected override void OnNotified(int queue)
    {
        Submit(Queues[queue]);
    }

    private protected override bool TryQuiesce() => InFlight == 0;

    private protected override void SaveDevice(IStateWriter state, ushort firstField)
    {
    }

    private protected override bool RestoreDevice(IStateReader state, ushort firstField) => true;

    private void DescribeDisk()
    {
        Span<byte> bytes = _configuration;
        ulong sectors = _backend.Length / SectorSize;
        uint preferred = _backend.PreferredBlock / SectorSize;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, sectors);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], MaximumSegments);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[20..], SectorSize);
        bytes[24] = (byte)uint.Log2(preferred);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[26..], (ushort)Math.Min(preferred, ushort.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[34..], (ushort)Queues.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[36..], MaximumRangeSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[40..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[44..], preferred);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[48..], MaximumRangeSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[52..], 1);
        bytes[56] = 1;
    }

    private void Submit(Virtqueue queue)
    {
        do
        {
            queue.DisableNotifications();
            while (_freeCount > 0 && queue.Pop(_chain))
            {
                int tag = _free[--_freeCount];
                ref Slot slot = ref _slots[tag];
                slot.Queue = queue;
                slot.Id = _chain.Id;
                slot.RingSlots = _chain.RingSlots;
                if (!Prepare(ref slot, out BlockResult result))
                {
                    slot.Request.Result = result;
                    Finish(slot.Request);
                }
                else if (_backend.Submit(slot.Request))
                {
                    Finish(slot.Request);
                }
            }
        }
        while (queue.EnableNotifications() && _freeCount > 0);

        Publish(queue);
        CheckQueues();
    }

    // Makes a request of the buffer in hand. What is not one for the back end is answered at once.
    private bool Prepare(ref Slot slot, out BlockResult result)
    {
        result = BlockResult.Failed;
        BlockRequest request = slot.Request;
        request.Clear();
        slot.Written = 0;
        slot.StatusAddress = 0;
        Span<byte> header = stackalloc byte[HeaderLength];
        if (_chain.WritableLength == 0 || _chain.Read(0, header) != HeaderLength)
        {
            // Not a request at all: there is no place for an answer.
            slot.Queue.Break();
            return false;
        }

        GuestBuffer last = _chain.Writable[^1];
        slot.StatusAddress = last.Address + last.Length - 1;
        BlockRequestType type = (BlockRequestType)BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        switch (type)
        {
            case BlockRequestType.Read:
                request.Operation = BlockOperation.Read;
                slot.Written = (uint)(_chain.WritableLength - 1);
                return AddBuffers(request, _chain.Writable, 0, _chain.WritableLength - 1) && Place(request, sector);
            case BlockRequestType.Write:
                request.Operation = BlockOperation.Write;
                return !_backend.IsReadOnly && AddBuffers(request, _chain.Readable, HeaderLength, _chain.ReadableLength - HeaderLength) && Place(request, sector);
            case BlockRequestType.Flush:
                request.Operation = BlockOperation.Flush;
                return true;
            case BlockRequestType.GetId:
                slot.Written = (uint)_chain.Write(0, _serial.AsSpan(0, (int)Math.Min(SerialLength, _chain.WritableLength - 1)));
                result = BlockResult.Done;
                return false;
            case BlockRequestType.Discard or BlockRequestType.WriteZeroes:
                return PrepareRange(request, type, out result);
            default:
                result = BlockResult.Unsupported;
                return false;
        }
    }

    private bool PrepareRange(BlockRequest request, BlockRequestType type, out BlockResult result)
    {
        Span<byte> range = stackalloc byte[RangeLength];
        bool zeroes = type == BlockRequestType.WriteZeroes;
        result = BlockResult.Unsupported;
        if (!Has(zeroes ? BlockFeatures.WriteZeroes : BlockFeatures.Discard) || _backend.IsReadOnly)
        {
            return false;
        }

        uint flags = 0;
        bool single = _chain.ReadableLength == HeaderLength + RangeLength && _chain.Read(HeaderLength, range) == RangeLength;
        if (single)
        {
            flags = BinaryPrimitives.ReadUInt32LittleEndian(range[12..]);
        }

        if (!single || flags > (zeroes ? UnmapFlag : 0))
        {
            return false;
        }

        result = BlockResult.Failed;
        uint sectors = BinaryPrimitives.ReadUInt32LittleEndian(range[8..]);
        request.Operation = zeroes ? BlockOperation.WriteZeroes : BlockOperation.Discard;
        request.MayDiscard = (flags & UnmapFlag) != 0;
        request.Length = (ulong)sectors << SectorShift;
        return sectors <= MaximumRangeSectors && Place(request, BinaryPrimitives.ReadUInt64LittleEndian(range));
    }

    private static bool AddBuffers(BlockRequest request, ReadOnlySpan<GuestBuffer> parts, uint skip, ulong length)
    {
        foreach (GuestBuffer part in parts)
        {
            if (skip >= part.Length)
            {
                skip -= part.Length;
                continue;
            }

            GuestBuffer rest = part.Skip(skip);
            skip = 0;
            if (rest.Length > length)
            {
                rest = rest.Take((uint)length);
            }

            length -= rest.Length;
            if (rest.Length != 0 && !request.TryAdd(rest))
            {
                return false;
            }
        }

        return true;
    }

    private bool Place(BlockRequest request, ulong sector)
    {
        ulong sectors = _backend.Length / SectorSize;
        ulong count = request.Length / SectorSize;
        request.Offset = sector << SectorShift;
        return request.Length % SectorSize == 0 && sector <= sectors && count <= sectors - sector;
    }

    // Writes the status, and returns the buffer and the slot.
    private Virtqueue Finish(BlockRequest request)
    {
        ref Slot slot = ref _slots[request.Tag];
        BlockStatus status = request.Result switch
        {
            BlockResult.Done => BlockStatus.Ok,
            BlockResult.Unsupported => BlockStatus.Unsupported,
            _ => BlockStatus.InputOutputError,
        };
        if (request.Operation == BlockOperation.Read)
        {
            foreach (GuestBuffer buffer in request.Buffers)
            {
                Memory.MarkWritten(buffer.Address, buffer.Length);
            }
        }

        Virtqueue queue = slot.Queue;
        if (slot.StatusAddress != 0 && IsRunning)
        {
            Memory.TryWrite(slot.StatusAddress, (byte)status);
            queue.Push(slot.Id, slot.RingSlots, status == BlockStatus.Ok ? slot.Written + 1 : 1);
        }

        _free[_freeCount++] = request.Tag;
        return queue;
    }

    private struct Slot
    {
        public BlockRequest Request;
        public Virtqueue Queue;
        public ulong StatusAddress;
        public uint Written;
        public ushort Id;
        public ushort RingSlots;
    }
}
