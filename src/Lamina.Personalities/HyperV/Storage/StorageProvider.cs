using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.HyperV.Storage;

/// <summary>
/// The SCSI adapter of the parent partition (Linux, drivers/scsi/storvsc_drv.c), with all disks as logical units of one target. A request has its data as pages of the guest; it ends on the
/// processor's thread or on a back end's, in any order.
/// </summary>
public sealed partial class StorageProvider : IVmBusDevice, IScsiCompletion
{
    private const int RequestSlots = 64;
    private const int MaximumSubChannels = 7;
    private const int PacketLength = 64;
    private const int StatusOffset = 8;
    private const int PayloadOffset = 12;
    private const int RequestLength = 52;
    private const uint MaximumTransfer = (ScsiRequest.MaximumBuffers - 1) * GuestMemory.PageSize;
    private const uint Unsuccessful = 0xc000_0001;
    private const ushort Version62 = 0x0602;
    private const ushort Version60 = 0x0600;
    private const ushort Version51 = 0x0501;

    // Of a request (struct vmscsi_request), from the start of the packet.
    private const int SrbStatusOffset = PayloadOffset + 2;
    private const int ScsiStatusOffset = PayloadOffset + 3;
    private const int PathOffset = PayloadOffset + 5;
    private const int TargetOffset = PayloadOffset + 6;
    private const int UnitOffset = PayloadOffset + 7;
    private const int CommandLengthOffset = PayloadOffset + 8;
    private const int SenseLengthOffset = PayloadOffset + 9;
    private const int TransferLengthOffset = PayloadOffset + 12;
    private const int CommandOffset = PayloadOffset + 16;
    private const int EveryUnit = -1;
    private const byte SrbSuccess = 0x01;
    private const byte SrbError = 0x04;
    private const byte SrbInvalidRequest = 0x06;
    private const byte SrbInvalidUnit = 0x20;
    private const byte SrbSenseValid = 0x80;

    private readonly VmBusController _bus;
    private readonly GuestMemory _memory;
    private readonly ScsiDisk?[] _disks = new ScsiDisk?[ScsiTarget.MaximumUnits];

    // Those that the guest may find: the disks that nobody wants gone.
    private readonly ScsiDisk?[] _shown = new ScsiDisk?[ScsiTarget.MaximumUnits];
    private readonly Change[] _changes = new Change[ScsiTarget.MaximumUnits];
    private readonly ScsiTarget _target;

    // Answers for all other targets. Drivers take what an inquiry gives, whatever its status says.
    private readonly ScsiTarget _absent;
    private readonly ScsiRequest[] _requests = new ScsiRequest[RequestSlots];
    private readonly GuestBuffer[] _pieces = new GuestBuffer[ScsiRequest.MaximumBuffers];
    private readonly ulong[] _transactions = new ulong[RequestSlots];
    private readonly byte[][] _packets = new byte[RequestSlots][];
    private readonly Slot[] _slots = new Slot[RequestSlots];
    private readonly VmBusChannel?[] _origins = new VmBusChannel?[RequestSlots];

    // Of a reset: the requests that it waits for, a bit each.
    private readonly ulong[] _awaited = new ulong[RequestSlots];
    private readonly byte[] _answer = new byte[PacketLength];

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="disks">The disks' contents and serial numbers, by logical unit.</param>
    public StorageProvider(VmBusController bus, GuestMemory memory, IReadOnlyList<(IBlockBackend Backend, ReadOnlyMemory<byte> Serial)> disks)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(disks);
        _bus = bus;
        _memory = memory;
        for (int i = 0; i < disks.Count; i++)
        {
            TryAdd(i, disks[i].Backend, disks[i].Serial.Span);
        }

        _target = new ScsiTarget(memory, _shown);
        _absent = new ScsiTarget(memory, ReadOnlyMemory<ScsiDisk?>.Empty);
        for (int i = 0; i < RequestSlots; i++)
        {
            _requests[i] = new ScsiRequest(i, this);
            _packets[i] = new byte[PacketLength];
        }

        bus.TryAdd(this);
    }

    /// <summary>Adds a disk. Before the machine starts.</summary>
    /// <param name="number">Its logical unit.</param>
    /// <param name="backend">The content.</param>
    /// <param name="serial">Its serial number.</param>
    /// <returns><c>false</c> if there is one with this number, or no such number.</returns>
    public bool TryAdd(int number, IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        bool free = number is >= 0 and < ScsiTarget.MaximumUnits && _disks[number] is null;
        if (free)
        {
            _disks[number] = _shown[number] = new ScsiDisk(_memory, backend, serial);
        }

        return free;
    }

    /// <summary>Most disks.</summary>
    public static int MaximumDisks => ScsiTarget.MaximumUnits;

    string IVmBusDevice.Name => "storvsc0";

    Guid IVmBusDevice.InterfaceType { get; } = new(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f);

    Guid IVmBusDevice.InstanceId { get; } = new(0x6c616d69, 0x6e61, 0x4000, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01);

    int IVmBusDevice.PageQuota => 1024;

    int IVmBusDevice.SubChannelCount => Math.Min(_bus.ProcessorCount - 1, MaximumSubChannels);

    int IVmBusDevice.SubChannelPages => 512;

    bool IVmBusDevice.IsPipe => false;

    bool IVmBusDevice.IsReady => !_paused && Array.IndexOf(_slots, Slot.Free) >= 0;

    void IVmBusDevice.OnOpened(VmBusChannel channel) => _channel = channel.Primary ?? channel;

    void IVmBusDevice.OnClosed(VmBusChannel channel)
    {
        if (channel.Primary is null)
        {
            _channel = null;
            _announces = false;
        }

        for (int i = 0; i < RequestSlots; i++)
        {
            if (_origins[i] == channel)
            {
                _origins[i] = null;
                _requests[i].StopRepeating();
                _slots[i] = _slots[i] is Slot.Submitted or Slot.Orphaned ? Slot.Orphaned : Slot.Free;
            }
        }
    }

    void IVmBusDevice.Drain()
    {
        foreach (ScsiDisk? disk in _disks)
        {
            disk?.Drain();
        }
    }

    void IVmBusDevice.OnStarted()
    {
    }

    void IVmBusDevice.OnStopping()
    {
    }

    void IVmBusDevice.OnProcessed()
    {
    }

    void IVmBusDevice.OnRoom()
    {
        Announce();
        for (int i = Array.IndexOf(_slots, Slot.Ended); i >= 0; i = Array.IndexOf(_slots, Slot.Ended, i + 1))
        {
            TryAnswer(i);
        }
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
        ReadOnlySpan<byte> data = packet.Data;
        if (data.Length < PacketLength)
        {
            return;
        }

        StorageOperation operation = (StorageOperation)BinaryPrimitives.ReadUInt32LittleEndian(data);
        if (operation == StorageOperation.ExecuteSrb)
        {
            Execute(channel, packet);
            return;
        }

        if (operation is StorageOperation.ResetUnit or StorageOperation.ResetAdapter or StorageOperation.ResetBus && channel.Primary is null)
        {
            ResetDisks(channel, packet, operation == StorageOperation.ResetUnit ? data[UnitOffset] : EveryUnit);
            return;
        }

        _answer.AsSpan().Clear();
        uint status = channel.Primary is not null ? Unsuccessful : operation switch
        {
            StorageOperation.BeginInitialization or StorageOperation.EndInitialization => 0,
            StorageOperation.QueryProtocolVersion =>
                BinaryPrimitives.ReadUInt16LittleEndian(data[PayloadOffset..]) is Version62 or Version60 or Version51 ? 0 : Unsuccessful,
            StorageOperation.QueryProperties => DescribeChannel(),
            StorageOperation.CreateSubChannels => OfferSubChannels(channel, BinaryPrimitives.ReadUInt16LittleEndian(data[PayloadOffset..])),
            _ => Unsuccessful,
        };
        BinaryPrimitives.WriteUInt32LittleEndian(_answer, (uint)StorageOperation.CompleteIo);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(StatusOffset), status);
        if (packet.WantsCompletion)
        {
            channel.TrySend(VmBusPacket.Completion, packet.TransactionId, _answer);
        }
    }

    void IScsiCompletion.OnCompleted(ScsiRequest request)
    {
        _bus.Gate.Enter();
        bool waits = !((IVmBusDevice)this).IsReady;
        if (_slots[request.Tag] == Slot.Orphaned)
        {
            MarkWritten(request);
            _slots[request.Tag] = Slot.Free;
        }
        else
        {
            Finish(request);
            TryAnswer(request.Tag);
        }

        EndResets(request.Tag);

        // There was no place for what waits in the rings.
        if (waits)
        {
            _bus.ProcessAll(this);
        }

        _bus.Gate.Exit();
    }

    private uint DescribeChannel()
    {
        const int ChannelCountOffset = PayloadOffset + 4;
        const int FlagsOffset = PayloadOffset + 8;
        const int MaximumTransferOffset = PayloadOffset + 12;
        const uint SupportsSubChannels = 1;
        int count = ((IVmBusDevice)this).SubChannelCount;
        BinaryPrimitives.WriteUInt16LittleEndian(_answer.AsSpan(ChannelCountOffset), (ushort)count);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(FlagsOffset), count == 0 ? 0 : SupportsSubChannels);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(MaximumTransferOffset), MaximumTransfer);
        return 0;
    }

    private uint OfferSubChannels(VmBusChannel channel, int count)
    {
        return count <= ((IVmBusDevice)this).SubChannelCount && _bus.OfferSubChannels(channel, count) == count ? 0 : Unsuccessful;
    }

    private void Execute(VmBusChannel channel, in VmBusPacket packet)
    {
        int tag = Array.IndexOf(_slots, Slot.Free);
        ReadOnlySpan<byte> data = packet.Data[..PacketLength];
        ScsiRequest request = _requests[tag];
        request.Clear();
        data.CopyTo(_packets[tag]);
        _transactions[tag] = packet.TransactionId;
        _origins[tag] = channel;
        uint transfer = BinaryPrimitives.ReadUInt32LittleEndian(data[TransferLengthOffset..]);
        byte unit = data[UnitOffset];
        ScsiTarget target = data[PathOffset] == 0 && data[TargetOffset] == 0 ? _target : _absent;
        if (data[CommandLengthOffset] > ScsiRequest.CommandLength || !TryCollect(packet, transfer, request))
        {
            _slots[tag] = Slot.Ended;
            Complete(_packets[tag], SrbInvalidRequest, ScsiStatus.Good, 0);
            TryAnswer(tag);
            return;
        }

        data.Slice(CommandOffset, ScsiRequest.CommandLength).CopyTo(request.Command);
        _slots[tag] = Slot.Submitted;
        if (target == _target && unit < _changes.Length && _changes[unit].IsPending)
        {
            SubmitChanged(request, tag, unit);
        }
        else if (target.Submit(request, unit))
        {
            Finish(request);
            TryAnswer(tag);
        }
    }

    // Commands that write again and again end with what is under way. The answer is given when all that came before has ended: the driver takes its requests for done then.
    private void ResetDisks(VmBusChannel channel, in VmBusPacket packet, int unit)
    {
        ulong awaited = 0;
        for (int i = 0; i < RequestSlots; i++)
        {
            if (_slots[i] is Slot.Submitted or Slot.Orphaned && (unit == EveryUnit || _packets[i][UnitOffset] == unit))
            {
                _requests[i].StopRepeating();
                awaited |= 1UL << i;
            }
        }

        if (!packet.WantsCompletion)
        {
            return;
        }

        int tag = Array.IndexOf(_slots, Slot.Free);
        _packets[tag].AsSpan().Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(_packets[tag], (uint)StorageOperation.CompleteIo);
        (_transactions[tag], _origins[tag], _awaited[tag]) = (packet.TransactionId, channel, awaited);
        _slots[tag] = Slot.Resetting;
        EndReset(tag);
    }

    private void EndResets(int ended)
    {
        for (int i = 0; i < RequestSlots; i++)
        {
            if (_slots[i] == Slot.Resetting)
            {
                _awaited[i] &= ~(1UL << ended);
                EndReset(i);
            }
        }
    }

    private void EndReset(int tag)
    {
        if (_awaited[tag] == 0)
        {
            _slots[tag] = Slot.Ended;
            TryAnswer(tag);
        }
    }

    private bool TryCollect(in VmBusPacket packet, uint length, ScsiRequest request)
    {
        int count = 0;
        if (!GpaRange.TryCollect(_memory, packet, MaximumTransfer, _pieces, ref count))
        {
            return false;
        }

        foreach (GuestBuffer piece in _pieces.AsSpan(0, count))
        {
            uint part = Math.Min(piece.Length, length);
            if (part != 0 && !request.TryAdd(piece.Take(part)))
            {
                return false;
            }

            length -= part;
        }

        return length == 0;
    }

    // Whether or not somebody is told.
    private void MarkWritten(ScsiRequest request)
    {
        if (request.Block.Operation == BlockOperation.Read)
        {
            foreach (GuestBuffer buffer in request.Block.Buffers)
            {
                _memory.MarkWritten(buffer.Address, buffer.Length);
            }
        }
    }

    private void Finish(ScsiRequest request)
    {
        MarkWritten(request);
        _slots[request.Tag] = Slot.Ended;
        NoteFlush(request);
        byte[] packet = _packets[request.Tag];
        bool failed = request.Status == ScsiStatus.CheckCondition;
        Complete(packet, failed ? (byte)(SrbError | SrbSenseValid) : SrbSuccess, request.Status, request.Transferred);
        if (failed)
        {
            request.Sense.Write(packet.AsSpan(CommandOffset));
            packet[SenseLengthOffset] = SenseCode.Length;
        }
    }

    private static void Complete(Span<byte> packet, byte srbStatus, ScsiStatus status, ulong transferred)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(packet, (uint)StorageOperation.CompleteIo);
        BinaryPrimitives.WriteUInt32LittleEndian(packet[StatusOffset..], 0);
        BinaryPrimitives.WriteUInt16LittleEndian(packet[PayloadOffset..], RequestLength);
        packet[SrbStatusOffset] = srbStatus;
        packet[ScsiStatusOffset] = (byte)status;
        packet[SenseLengthOffset] = 0;
        BinaryPrimitives.WriteUInt32LittleEndian(packet[TransferLengthOffset..], (uint)transferred);
    }

    private bool TryAnswer(int tag)
    {
        if (_origins[tag] is not { } channel || channel.TrySend(VmBusPacket.Completion, _transactions[tag], _packets[tag]))
        {
            _slots[tag] = Slot.Free;
            _origins[tag] = null;
            return true;
        }

        return false;
    }

    private enum Slot : byte
    {
        Free,

        /// <summary>Waits for a back end.</summary>
        Submitted,

        /// <summary>Has ended, and waits for room in the ring.</summary>
        Ended,

        /// <summary>Waits for a back end; the channel that it came from is closed.</summary>
        Orphaned,

        /// <summary>A reset, which waits for requests that came before it.</summary>
        Resetting,
    }
}
