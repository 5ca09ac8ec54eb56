using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Grants;

namespace Lamina.Personalities.Xen.Block;

/// <summary>
/// The back end of a disk (xen/include/public/io/blkif.h): several rings of up to four pages, segments in the request or in a page of their own, flush and discard. Grants are looked up for each
/// request, and shown as in use for as long as the device is connected where the front end keeps them.
/// </summary>
public sealed partial class BlockBackEnd : BackEnd, IBlockCompletion
{
    private const int RequestSlots = 64;
    private const int MaximumQueues = 4;
    private const uint RingPageOrder = 2;
    private const int EntryLength = 112;
    private const int ResponseLength = 16;
    private const int DirectSegments = 11;
    private const int IndirectSegments = 256;
    private const int SegmentLength = 8;
    private const int SegmentsOffset = 24;
    private const int IndirectPagesOffset = 28;
    private const ulong SectorSize = 512;
    private const uint SectorsPerPage = GuestMemory.PageSize / (uint)SectorSize;
    private const short Okay = 0;
    private const short Error = -1;
    private const short NotSupported = -2;
    private const uint FirstNumber = 202 << 8;

    private readonly IBlockBackend _backend;
    private readonly BlockQueue[] _queues = new BlockQueue[MaximumQueues];
    private readonly BlockRequest[] _requests = new BlockRequest[RequestSlots];
    private readonly Slot[] _slots = new Slot[RequestSlots];
    private readonly int _queueLimit;
    private readonly bool _offersPersistentGrants;
    private readonly KeptGrants _kept;
    private int _queueCount;
    private int _busy;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="index">Which disk it is: 0 for xvda.</param>
    /// <param name="backend">Its content.</param>
    /// <param name="persistentGrants">
    /// Whether it offers the front end to keep its grants (feature-persistent). A front end that does copies all that it reads and writes into pages of its own, which is worth it where a back end maps
    /// them; this one does not.
    /// </param>
    public BlockBackEnd(XenBusController bus, ILock gate, int index, IBlockBackend backend, bool persistentGrants)
        : base(bus, gate, "vbd", index, FirstNumber + ((uint)index * 16))
    {
        ArgumentNullException.ThrowIfNull(bus);
        _backend = backend;
        _offersPersistentGrants = persistentGrants;
        _kept = new KeptGrants(Domain.Grants);
        _queueLimit = Math.Min(MaximumQueues, Domain.Processors.Length);
        for (int i = 0; i < MaximumQueues; i++)
        {
            _queues[i] = new BlockQueue(this, new SharedRing(Domain.Memory, Domain.Grants, EntryLength), i);
        }

        for (int i = 0; i < RequestSlots; i++)
        {
            _requests[i] = new BlockRequest(i, IndirectSegments, this);
        }

        bus.Add(this);
    }

    /// <summary>Most disks: xvda to xvdp.</summary>
    public static int MaximumDisks => 16;

    /// <summary>Tells the guest of another size. Without locks.</summary>
    public void Resize()
    {
        Gate.Enter();
        PutBack("sectors"u8, _backend.Length / SectorSize);
        TellAgain();
        Gate.Exit();
    }

    /// <inheritdoc/>
    private protected override bool IsIdle => _busy == 0;

    void IBlockCompletion.OnCompleted(BlockRequest request)
    {
        Gate.Enter();
        _busy--;
        Finish(request);
        ServeAll();
        if (_busy == 0)
        {
            if (_queueCount == 0)
            {
                _kept.Release();
            }

            OnIdle();
        }

        Gate.Exit();
    }

    internal void OnEvent(BlockQueue queue)
    {
        Gate.Enter();
        Process(queue);
        Gate.Exit();
    }

    /// <inheritdoc/>
    private protected override void Describe()
    {
        const ulong ReadOnlyInformation = 4;
        PutFront("virtual-device"u8, Number);
        PutFront("device-type"u8, "disk"u8);
        PutBack("device-type"u8, "disk"u8);
        PutBack("mode"u8, _backend.IsReadOnly ? "r"u8 : "w"u8);
        PutBack("removable"u8, 0);
        PutBack("sectors"u8, _backend.Length / SectorSize);
        PutBack("sector-size"u8, SectorSize);
        PutBack("physical-sector-size"u8, _backend.PreferredBlock);
        PutBack("info"u8, _backend.IsReadOnly ? ReadOnlyInformation : 0);
        PutBack("feature-flush-cache"u8, 1);
        PutBack("feature-persistent"u8, _offersPersistentGrants ? 1ul : 0);
        PutBack("feature-max-indirect-segments"u8, IndirectSegments);
        PutBack("max-ring-page-order"u8, RingPageOrder);
        PutBack("multi-queue-max-queues"u8, (ulong)_queueLimit);
        if (_backend.CanDiscard && !_backend.IsReadOnly)
        {
            PutBack("feature-discard"u8, 1);
            PutBack("discard-granularity"u8, _backend.PreferredBlock);
            PutBack("discard-alignment"u8, 0);
        }
    }

    /// <inheritdoc/>
    private protected override bool TryConnect()
    {
        Span<byte> protocol = stackalloc byte[16];
        int length = GetFront("protocol"u8, protocol);
        if (length >= 0 && !protocol[..length].SequenceEqual("x86_64-abi"u8))
        {
            return false;
        }

        uint queues = TryReadFront("multi-queue-num-queues"u8, out uint given) ? given : 1;
        uint order = TryReadFront("ring-page-order"u8, out given) ? given : 0;
        if (queues == 0 || queues > (uint)_queueLimit || order > RingPageOrder)
        {
            return false;
        }

        for (uint i = 0; i < queues; i++)
        {
            if (!TryOpen(_queues[i], i, queues > 1, order))
            {
                Disconnect();
                return false;
            }
        }

        _queueCount = (int)queues;

        // Linux's front end says that it would even if that was not offered. A machine that was saved while it was offers it until it is reset.
        _kept.IsOn = TryReadBack("feature-persistent"u8, out uint offered) && offered == 1 && TryReadFront("feature-persistent"u8, out given) && given == 1;
        return true;
    }

    /// <inheritdoc/>
    private protected override void Disconnect()
    {
        _queueCount = 0;
        foreach (BlockQueue queue in _queues)
        {
            if (queue.Port != 0)
            {
                Domain.Events.Unbind(queue.Port, queue);
            }

            queue.Port = 0;
            queue.Ring.Close();
        }

        for (int i = 0; i < RequestSlots; i++)
        {
            _slots[i].IsOrphan = true;
        }

        if (_busy == 0)
        {
            _kept.Release();
        }
    }

    /// <inheritdoc/>
    private protected override void Serve() => ServeAll();

    /// <inheritdoc/>
    private protected override void Drain() => _backend.Drain();

    private bool TryOpen(BlockQueue queue, uint number, bool several, uint order)
    {
        Span<byte> name = stackalloc byte[48];
        Span<uint> references = stackalloc uint[SharedRing.MaximumPages];
        int prefix = several ? Format(name, "queue-"u8, number, "/"u8) : 0;
        int pages = 1 << (int)order;
        for (uint i = 0; i < (uint)pages; i++)
        {
            int length = prefix;
            if (order == 0)
            {
                "ring-ref"u8.CopyTo(name[prefix..]);
                length += 8;
            }
            else
            {
                length += Format(name[prefix..], "ring-ref"u8, i, default);
            }

            if (!TryReadFront(name[..length], out references[(int)i]))
            {
                return false;
            }
        }

        "event-channel"u8.CopyTo(name[prefix..]);
        if (!TryReadFront(name[..(prefix + 13)], out uint port) || !queue.Ring.TryOpen(references[..pages]) || !Domain.Events.TryBind(port, queue))
        {
            return false;
        }

        queue.Port = port;
        return true;
    }

    private void ServeAll()
    {
        for (int i = 0; i < _queueCount; i++)
        {
            Process(_queues[i]);
        }
    }

    private void Process(BlockQueue queue)
    {
        Span<byte> entry = stackalloc byte[EntryLength];
        do
        {
            for (uint available = IsRunning ? queue.Ring.GetAvailable() : 0; available > 0 && _busy < RequestSlots; available--)
            {
                queue.Ring.Peek(0, entry);
                queue.Ring.Advance(1);
                Execute(queue, entry);
            }
        }
        while (IsRunning && _busy < RequestSlots && queue.Ring.FinalCheck());
        if (queue.Ring.IsBroken)
        {
            Fail("the ring's indexes cannot be"u8);
            return;
        }

        Push(queue);
    }

    private void Push(BlockQueue queue)
    {
        if (queue.Ring.Push())
        {
            Domain.Events.Signal(queue.Port, queue);
        }
    }

    private void Execute(BlockQueue queue, ReadOnlySpan<byte> entry)
    {
        BlockOperationCode operation = (BlockOperationCode)entry[0];
        ulong id = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
        int tag = 0;
        while (_slots[tag].IsBusy)
        {
            tag++;
        }

        BlockRequest request = _requests[tag];
        request.Clear();
        request.Offset = BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]);
        bool indirect = operation == BlockOperationCode.Indirect;
        BlockOperationCode kind = indirect ? (BlockOperationCode)entry[1] : operation;
        short status = kind switch
        {
            BlockOperationCode.Read or BlockOperationCode.Write => PrepareTransfer(request, entry, kind == BlockOperationCode.Write, indirect),
            BlockOperationCode.FlushDiskCache when !indirect => PrepareFlush(request, entry[1]),
            BlockOperationCode.Discard when !indirect => PrepareDiscard(request, BinaryPrimitives.ReadUInt64LittleEndian(entry[24..])),
            _ => NotSupported,
        };
        byte code = (byte)kind;
        if (status != Okay)
        {
            Respond(queue, id, code, status);
            return;
        }

        _slots[tag] = new Slot { IsBusy = true, Queue = queue, Id = id, Code = code };
        _busy++;
        if (_backend.Submit(request))
        {
            _busy--;
            Finish(request, pushes: false);
        }
    }

    // What comes with data is a write after a flush. Front ends know it where barriers are offered, which are not; done as a flush alone it would be lost.
    private static short PrepareFlush(BlockRequest request, byte segments)
    {
        request.Operation = BlockOperation.Flush;
        request.Offset = 0;
        return segments == 0 ? Okay : Error;
    }

    private short PrepareDiscard(BlockRequest request, ulong sectors)
    {
        request.Operation = BlockOperation.Discard;
        if (_backend.IsReadOnly || !TryPlace(request, sectors))
        {
            return Error;
        }

        request.Length = sectors * SectorSize;
        return Okay;
    }

    private short PrepareTransfer(BlockRequest request, ReadOnlySpan<byte> entry, bool writes, bool indirect)
    {
        Span<byte> segments = stackalloc byte[IndirectSegments * SegmentLength];
        int count = indirect ? BinaryPrimitives.ReadUInt16LittleEndian(entry[2..]) : entry[1];
        if (count == 0 || count > (indirect ? IndirectSegments : DirectSegments) || (writes && _backend.IsReadOnly))
        {
            return Error;
        }

        segments = segments[..(count * SegmentLength)];
        if (!indirect)
        {
            entry.Slice(SegmentsOffset, segments.Length).CopyTo(segments);
        }
        else if (!_kept.TryGet(BinaryPrimitives.ReadUInt32LittleEndian(entry[IndirectPagesOffset..]), write: false, out ulong page, out _) || !Domain.Memory.TryRead(page, segments))
        {
            return Error;
        }

        request.Operation = writes ? BlockOperation.Write : BlockOperation.Read;
        return TryCollect(request, segments, writesGuest: !writes) && TryPlace(request, request.Length / SectorSize) ? Okay : Error;
    }

    // Pages that follow each other are one buffer.
    private bool TryCollect(BlockRequest request, ReadOnlySpan<byte> segments, bool writesGuest)
    {
        GuestBuffer last = default;
        for (; segments.Length > 0; segments = segments[SegmentLength..])
        {
            uint reference = BinaryPrimitives.ReadUInt32LittleEndian(segments);
            uint first = segments[4];
            uint end = segments[5] + 1u;
            if (first >= end || end > SectorsPerPage || !_kept.TryGet(reference, writesGuest, out ulong address, out nint host))
            {
                return false;
            }

            uint offset = first * (uint)SectorSize;
            GuestBuffer part = new(address + offset, host + (nint)offset, (end - first) * (uint)SectorSize);
            if (last.Length != 0 && last.Address + last.Length == part.Address && last.HostAddress + (nint)last.Length == part.HostAddress)
            {
                last = last with { Length = last.Length + part.Length };
                continue;
            }

            if (last.Length != 0 && !request.TryAdd(last))
            {
                return false;
            }

            last = part;
        }

        return request.TryAdd(last);
    }

    private bool TryPlace(BlockRequest request, ulong sectors)
    {
        ulong first = request.Offset;
        ulong all = _backend.Length / SectorSize;
        request.Offset = first * SectorSize;
        return sectors != 0 && first < all && sectors <= all - first;
    }

    private void Finish(BlockRequest request, bool pushes = true)
    {
        ref Slot slot = ref _slots[request.Tag];
        if (request.Operation == BlockOperation.Read)
        {
            foreach (GuestBuffer buffer in request.Buffers)
            {
                Domain.Memory.MarkWritten(buffer.Address, buffer.Length);
            }
        }

        if (!slot.IsOrphan)
        {
            Respond(slot.Queue!, slot.Id, slot.Code, request.Result switch
            {
                BlockResult.Done => Okay,
                BlockResult.Unsupported => NotSupported,
                _ => Error,
            });
            if (pushes)
            {
                Push(slot.Queue!);
            }
        }

        slot = default;
    }

    private static void Respond(BlockQueue queue, ulong id, byte operation, short status)
    {
        Span<byte> response = stackalloc byte[ResponseLength];
        response.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(response, id);
        response[8] = operation;
        BinaryPrimitives.WriteInt16LittleEndian(response[10..], status);
        queue.Ring.Put(response);
    }

    private struct Slot
    {
        public bool IsBusy;
        public bool IsOrphan;
        public byte Code;
        public ulong Id;
        public BlockQueue? Queue;
    }
}
