using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>
/// A channel between a guest's driver and a device: two rings in guest memory, and an event each way. A device may have more than one; the others, its sub-channels, are offered when its driver asks
/// for them, and withdrawn when the first is closed. With the bus's lock held.
/// </summary>
internal sealed class VmBusChannel(GuestMemory memory, HyperVPersonality hypervisor, IVmBusDevice device, uint number, VmBusChannel? primary = null)
{
    /// <summary>The source on which guests expect messages and events.</summary>
    internal const int Source = 2;

    // The longest packet that a driver sends has a page number for each page of a transfer.
    private const int LongestPacket = 16384;

    // Others want to be served, too.
    private const int MostPackets = 1024;
    private const int LongestHeader = 64;

    // A stream's packet is a descriptor, a type and a length (struct vmpipe_proto_header), and data.
    private const int StreamHeader = VmBusPacket.DescriptorLength + 8;
    private const int MaximumStreamPages = 64;
    private const int MaximumPieces = 20;
    private const uint LongestStreamPacket = 16 << 10;
    private const uint LeastStreamPacket = 1 << 10;
    private const uint StreamEnd = StreamHeader + 8;
    private const uint PipeData = 1;

    private readonly RingBuffer _in = device is IVmBusStream ? new(memory, MaximumStreamPages) : new(memory);
    private readonly RingBuffer _out = device is IVmBusStream ? new(memory, MaximumStreamPages) : new(memory);
    private readonly byte[] _packet = device is IVmBusStream ? [] : new byte[LongestPacket];
    private readonly IVmBusStream? _stream = device as IVmBusStream;
    private int _target;

    /// <summary>Its number among the channels, and the event flag on which the guest hears of it.</summary>
    internal uint Number { get; } = number;

    /// <summary>The connection on which the guest signals.</summary>
    internal uint Connection => Number + VmBusController.FirstConnection;

    /// <summary>The device.</summary>
    internal IVmBusDevice Device { get; } = device;

    /// <summary>The device's first channel; null if this is it.</summary>
    internal VmBusChannel? Primary { get; } = primary;

    /// <summary>Its number among the device's channels; 0 for the first.</summary>
    internal int SubIndex { get; set; }

    /// <summary>How far the guest knows of it.</summary>
    internal ChannelOffer Offer { get; set; } = primary is null && device is not IVmBusStream ? ChannelOffer.Offered : ChannelOffer.None;

    /// <summary>The stream of a channel that is offered on demand; null for another.</summary>
    internal IVmBusStream? Stream => _stream;

    /// <summary>Of a device's first channel: whether the device goes when the guest has given its channels back.</summary>
    internal bool IsLeaving { get; set; }

    /// <summary>Whether the guest is still to be told of the offer.</summary>
    internal bool OwesOffer { get; set; }

    /// <summary>Whether it is still to be told that there is none any more.</summary>
    internal bool OwesRescind { get; set; }

    /// <summary>Whether the guest has opened it.</summary>
    internal bool IsOpen { get; private set; }

    /// <summary>The processor that hears of it.</summary>
    internal int Target
    {
        get => _target;
        set => _target = (uint)value < (uint)hypervisor.ProcessorCount ? value : 0;
    }

    // Whether it could be opened.
    private bool IsClosed => !IsOpen && Offer == ChannelOffer.Offered && Primary is not { IsOpen: false };

    /// <summary>Opens it on rings that are in pages, so many of which are the first one's.</summary>
    internal bool TryOpen(ReadOnlySpan<ulong> pages, uint outPages, int target)
    {
        return IsClosed && outPages < (uint)pages.Length && _in.TrySetUp(pages[..(int)outPages], reads: true) && _out.TrySetUp(pages[(int)outPages..], reads: false) && Open(target);
    }

    /// <summary>Writes four fields: its rings.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        _in.Save(state, field);
        _out.Save(state, (ushort)(field + 2));
    }

    /// <summary>Opens it on rings that were saved.</summary>
    internal bool TryReopen(IStateReader state, ushort field, int target)
    {
        return IsClosed && _in.Restore(state, field) && _out.Restore(state, (ushort)(field + 2)) && Open(target);
    }

    /// <summary>Closes it.</summary>
    internal void Close()
    {
        if (IsOpen)
        {
            IsOpen = false;
            _in.Reset();
            _out.Reset();
            Device.OnClosed(this);
        }
    }

    private bool Open(int target)
    {
        (IsOpen, Target) = (true, target);
        Device.OnOpened(this);
        return true;
    }

    /// <summary>Takes packets. A ring that cannot be right closes the channel.</summary>
    /// <returns>Whether there are more than it took at once.</returns>
    internal bool Process()
    {
        if (!IsOpen)
        {
            return false;
        }

        Device.OnRoom();
        if (_stream is not null)
        {
            return ProcessStream(_stream);
        }

        _in.MaskInterrupts(true);
        for (int i = 0; IsOpen && Device.IsReady; i++)
        {
            VmBusPacket packet = default;
            if (i == MostPackets)
            {
                _in.MaskInterrupts(false);
                return true;
            }

            if (!_in.TryTake(_packet, out int length) || (length != 0 && !VmBusPacket.TryParse(_packet.AsSpan(0, length), out packet)))
            {
                Close();
                return false;
            }

            if (length == 0)
            {
                _in.MaskInterrupts(false);
                if (!_in.HasMore())
                {
                    return false;
                }

                _in.MaskInterrupts(true);
                continue;
            }

            if (_in.ShowTaken())
            {
                hypervisor.Signal(_target, Source, (int)Number);
            }

            Device.OnPacket(this, packet);
        }

        _in.MaskInterrupts(false);
        return false;
    }

    /// <summary>Finds room for a packet of a stream's data. If there is none, the guest is asked to say when.</summary>
    /// <param name="pieces">Where in the ring its data is to be put.</param>
    /// <returns>How many pieces there are; 0 for no room.</returns>
    internal int FindRoom(Span<GuestBuffer> pieces)
    {
        // There stays room for the end of the stream.
        uint room = _out.GetRoom(StreamHeader + LeastStreamPacket + StreamEnd);
        return room >= StreamHeader + LeastStreamPacket + StreamEnd && _out.TryCollect(StreamHeader, Math.Min(room - StreamHeader - StreamEnd, LongestStreamPacket), pieces, out int count) ? count : 0;
    }

    /// <summary>Sends a packet of a stream.</summary>
    /// <param name="length">Bytes that were put into the room that was found; 0 for the end of the stream.</param>
    internal void SendStream(uint length)
    {
        Span<byte> start = stackalloc byte[StreamHeader];
        start.Clear();
        uint total = (StreamHeader + length + 7) & ~7u;
        BinaryPrimitives.WriteUInt16LittleEndian(start, VmBusPacket.InBand);
        BinaryPrimitives.WriteUInt16LittleEndian(start[2..], VmBusPacket.DescriptorLength / 8);
        BinaryPrimitives.WriteUInt16LittleEndian(start[4..], (ushort)(total / 8));
        BinaryPrimitives.WriteUInt32LittleEndian(start[VmBusPacket.DescriptorLength..], PipeData);
        BinaryPrimitives.WriteUInt32LittleEndian(start[(VmBusPacket.DescriptorLength + 4)..], length);
        if (_out.GetRoom(total) >= total && _out.Publish(start, total))
        {
            hypervisor.Signal(_target, Source, (int)Number);
        }
    }

    private bool ProcessStream(IVmBusStream stream)
    {
        Span<byte> start = stackalloc byte[StreamHeader];
        Span<GuestBuffer> pieces = stackalloc GuestBuffer[MaximumPieces];
        _in.MaskInterrupts(true);
        for (int i = 0; IsOpen && stream.IsReady; i++)
        {
            if (i == MostPackets)
            {
                _in.MaskInterrupts(false);
                return true;
            }

            if (!_in.TryLook(start, out uint total))
            {
                Close();
                return false;
            }

            if (total == 0)
            {
                _in.MaskInterrupts(false);
                if (!_in.HasMore())
                {
                    return false;
                }

                _in.MaskInterrupts(true);
                continue;
            }

            uint length = BinaryPrimitives.ReadUInt32LittleEndian(start[(VmBusPacket.DescriptorLength + 4)..]);
            if (BinaryPrimitives.ReadUInt16LittleEndian(start) != VmBusPacket.InBand
                || BinaryPrimitives.ReadUInt16LittleEndian(start[2..]) != VmBusPacket.DescriptorLength / 8
                || BinaryPrimitives.ReadUInt32LittleEndian(start[VmBusPacket.DescriptorLength..]) != PipeData
                || length > total - StreamHeader
                || !_in.TryCollect(StreamHeader, length, pieces, out int count))
            {
                Close();
                return false;
            }

            stream.OnData(pieces[..count], length);
            if (IsOpen && _in.ShowTaken(_in.Drop(total)))
            {
                hypervisor.Signal(_target, Source, (int)Number);
            }
        }

        _in.MaskInterrupts(false);
        return false;
    }

    /// <summary>Whether there is room for a packet with so much data.</summary>
    internal bool HasRoom(int length) => _out.HasRoom((uint)(VmBusPacket.DescriptorLength + length));

    /// <summary>Sends a packet.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="transaction">The transaction.</param>
    /// <param name="data">Its data: a multiple of 8 bytes.</param>
    /// <returns><c>false</c> if there is no room.</returns>
    internal bool TrySend(ushort type, ulong transaction, ReadOnlySpan<byte> data) => TrySend(type, 0, transaction, [], data);

    /// <summary>Sends a packet.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="flags">Whether it wants an answer.</param>
    /// <param name="transaction">The transaction.</param>
    /// <param name="header">What comes between the descriptor and the data: up to 64 bytes, a multiple of 8.</param>
    /// <param name="data">Its data: a multiple of 8 bytes.</param>
    /// <returns><c>false</c> if there is no room.</returns>
    internal bool TrySend(ushort type, ushort flags, ulong transaction, ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        Span<byte> descriptor = stackalloc byte[VmBusPacket.DescriptorLength + LongestHeader];
        descriptor = descriptor[..(VmBusPacket.DescriptorLength + header.Length)];
        header.CopyTo(descriptor[VmBusPacket.DescriptorLength..]);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor, type);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[2..], (ushort)(descriptor.Length / 8));
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[4..], (ushort)((descriptor.Length + data.Length) / 8));
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[6..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], transaction);
        if (!_out.TryPut(descriptor, data, out bool interrupts))
        {
            return false;
        }

        if (interrupts)
        {
            hypervisor.Signal(_target, Source, (int)Number);
        }

        return true;
    }
}
