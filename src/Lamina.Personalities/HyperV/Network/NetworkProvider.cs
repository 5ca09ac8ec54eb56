using System.Buffers.Binary;
using System.Globalization;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>
/// A network card of the parent partition (Linux, drivers/net/hyperv): the network protocol in versions 1 to 6.1, and Remote NDIS in it. The driver's packets lie in its send buffer,
/// in pages that they name, or in both; packets for it go into parts of its receive buffer, which it gives back. A driver on several processors asks for a sub-channel for each of the others, sends on all of them,
/// and says how arriving frames are spread over them; one message at a time is on its way to the wire. Cards come and go while the machine runs.
/// </summary>
public sealed partial class NetworkProvider : IVmBusDevice, INetworkReceiver
{
    private const int MessageLength = 40;
    private const int MaximumPieces = 160;
    private const int ControlLength = 4096;
    private const int PacketHeader = 44;
    private const uint NoSection = uint.MaxValue;
    private const uint SendSectionSize = 6144;
    private const uint DefaultFrame = 1500;
    private const uint MaximumFrame = 65535 - EthernetHeader;
    private const uint EthernetHeader = 14;
    private const uint DataChannel = 0;
    private const uint ControlChannel = 1;

    // The greatest parts that packets of the protocol's first versions get.
    private const uint SmallestSection = 1728;

    // Those that may hold many segments as one.
    private const uint CoalescedSection = 16384;
    private const uint CoalescingVersion = 0x6_0001;
    private const int CapabilitiesOffset = 12;
    private const byte CoalescingCapability = 1 << 7;
    private const NetworkOffloads Coalesced = NetworkOffloads.Checksum | NetworkOffloads.SegmentTcp4 | NetworkOffloads.SegmentTcp6;

    private readonly VmBusController _bus;
    private readonly GuestMemory _memory;
    private readonly INetworkBackend _backend;
    private readonly PacketSender _sender;
    private readonly RndisControl _control;
    private readonly PageBuffer _receiveBuffer;
    private readonly PageBuffer _sendBuffer;
    private readonly ReceiveSections _sections = new();
    private readonly GuestBuffer[] _pieces = new GuestBuffer[MaximumPieces];
    private readonly GuestBuffer[] _parts = new GuestBuffer[PacketSender.MaximumParts];
    private readonly byte[] _request = new byte[ControlLength];
    private readonly byte[] _indication = new byte[RndisControl.AnswerLength];
    private readonly byte[] _answer = new byte[MessageLength];
    private readonly VmBusChannel?[] _channels = new VmBusChannel?[ReceiveScaling.MaximumChannels];
    private ushort _receiveBufferId = UsualReceiveBuffer;
    private bool _tableWaits;
    private int _tableChannels;

    // A message of the driver's that is being sent.
    private bool _sending;
    private VmBusChannel? _sendsOn;
    private int _pieceCount;
    private uint _length;
    private uint _position;
    private ulong _transaction;

    // What waits for room in the ring, or for a part of the receive buffer.
    private bool _answerWaits;
    private VmBusChannel? _answersOn;
    private ulong _answerTransaction;
    private int _indicationLength;
    private bool _linkWaits;
    private bool _receiverWaits;
    private int _resuming;

    /// <summary>Makes it and puts it on the bus. Before the machine starts, or on the thread that starts and stops devices.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="index">Which card it is.</param>
    /// <param name="backend">The wire.</param>
    /// <param name="address">Its hardware address: 6 bytes.</param>
    public NetworkProvider(VmBusController bus, GuestMemory memory, int index, INetworkBackend backend, ReadOnlySpan<byte> address)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(backend);
        _bus = bus;
        _memory = memory;
        _backend = backend;
        _sender = new PacketSender(memory, backend);
        _control = new RndisControl(address) { MaximumFrame = DefaultFrame, Channels = Math.Min(bus.ProcessorCount, ReceiveScaling.MaximumChannels) };
        _receiveBuffer = new PageBuffer(memory);
        _sendBuffer = new PageBuffer(memory);
        Name = string.Create(CultureInfo.InvariantCulture, $"netvsc{index}");
        Instance = new Guid(0x6c616d69, 0x6e61, 0x4000, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, (byte)index);
        backend.SetReceiver(this);
        IsOnBus = bus.TryAdd(this);
    }

    /// <summary>Most cards.</summary>
    public static int MaximumNetworks => 8;

    /// <summary>Whether there was a place for it on the bus.</summary>
    public bool IsOnBus { get; }

    /// <summary>Whether the guest was asked to give it up. Any thread.</summary>
    public bool IsLeaving => _bus.IsLeaving(this);

    /// <summary>Whether it has. Any thread.</summary>
    public bool IsGivenUp => _bus.IsGivenUp(this);

    private string Name { get; }

    private Guid Instance { get; }

    private static ReadOnlySpan<uint> Versions => [0x0_0002, 0x3_0002, 0x4_0000, 0x5_0000, 0x6_0000, 0x6_0001];

    // The first channel.
    private VmBusChannel? Channel => _channels[0];

    string IVmBusDevice.Name => Name;

    Guid IVmBusDevice.InterfaceType { get; } = new(0xf8615163, 0xdf3e, 0x46c5, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e);

    Guid IVmBusDevice.InstanceId => Instance;

    int IVmBusDevice.PageQuota => GpadlTable.MaximumPages + 4096 + 1024;

    int IVmBusDevice.SubChannelCount => _control.Channels - 1;

    int IVmBusDevice.SubChannelPages => 1024;

    bool IVmBusDevice.IsPipe => false;

    bool IVmBusDevice.IsReady => !_sending && !_answerWaits && _indicationLength == 0;

    /// <summary>Its record in the machine's state, for a card that has come while the machine runs.</summary>
    public IDevice CreateState() => _bus.CreateDeviceState(this);

    /// <summary>Has the guest give the card up: it carries nothing any more. Any thread.</summary>
    public void RequestRemoval() => _bus.RequestRemoval(this);

    /// <summary>Takes it off the bus; afterwards its wire is left alone. On the thread that starts and stops devices.</summary>
    public void Remove() => _bus.Remove(this);

    void IVmBusDevice.OnStarted()
    {
        SetReceiveOffloads();
        _backend.Start();
        _backend.ResumeReceive();
        OnTransmitReady();
    }

    void IVmBusDevice.OnStopping()
    {
        _backend.Stop();
        _bus.Gate.Enter();
        _receiverWaits = false;
        _bus.Gate.Exit();
    }

    void IVmBusDevice.OnOpened(VmBusChannel channel) => _channels[channel.SubIndex] = channel;

    void IVmBusDevice.OnClosed(VmBusChannel channel)
    {
        _channels[channel.SubIndex] = null;
        if (_sendsOn == channel)
        {
            _sender.Reset();
            _sending = false;
        }

        _answerWaits &= _answersOn != channel;
        if (channel.Primary is null)
        {
            Forget();
        }
    }

    // What a driver has told.
    private void Forget()
    {
        _receiveBuffer.Clear();
        _sendBuffer.Clear();
        _sections.Set(0, 0);
        _control.Reset();
        (_control.MaximumFrame, _control.Version) = (DefaultFrame, 0);
        SetReceiveOffloads();
        _sender.Reset();
        _sending = _answerWaits = _linkWaits = _tableWaits = false;
        _indicationLength = 0;
    }

    // Nobody looks after a wire that may be closed.
    void IVmBusDevice.Drain()
    {
        SpinWait wait = default;
        while (Volatile.Read(ref _resuming) != 0)
        {
            wait.SpinOnce();
        }
    }

    void IVmBusDevice.OnProcessed()
    {
        _bus.Gate.Enter();
        bool resumes = _receiverWaits;
        _receiverWaits = false;
        if (resumes)
        {
            Interlocked.Increment(ref _resuming);
        }

        _bus.Gate.Exit();
        if (resumes)
        {
            _backend.ResumeReceive();
            Interlocked.Decrement(ref _resuming);
        }
    }

    void IVmBusDevice.OnRoom()
    {
        if (_indicationLength != 0 && TryIndicate(_indication.AsSpan(0, _indicationLength)))
        {
            _indicationLength = 0;
        }

        if (_answerWaits)
        {
            _answerWaits = false;
            Answer(_answerTransaction);
        }

        SendTable();
        ShowLink();
    }

    /// <inheritdoc/>
    public void OnTransmitReady()
    {
        _bus.Gate.Enter();
        if (!_bus.IsStopped)
        {
            Transmit();
            _bus.ProcessAll(this);
        }

        _bus.Gate.Exit();
    }

    /// <inheritdoc/>
    public void OnLinkChanged(bool up)
    {
        _bus.Gate.Enter();
        _control.IsLinkUp = up;
        _linkWaits = _control.Receives;
        if (!_bus.IsStopped)
        {
            ShowLink();
        }

        _bus.Gate.Exit();
    }

    void IVmBusDevice.OnPacket(VmBusChannel channel, in VmBusPacket packet)
    {
        Span<byte> message = stackalloc byte[MessageLength];
        message.Clear();
        packet.Data[..Math.Min(packet.Data.Length, MessageLength)].CopyTo(message);
        if (packet.Type == VmBusPacket.Completion)
        {
            _sections.Release(packet.TransactionId - 1);
            ShowLink();
            return;
        }

        _answersOn = channel;
        NvspMessage type = (NvspMessage)BinaryPrimitives.ReadUInt32LittleEndian(message);
        if (channel.Primary is not null && type != NvspMessage.SendRndisPacket)
        {
            return;
        }

        uint first = BinaryPrimitives.ReadUInt32LittleEndian(message[4..]);
        uint second = BinaryPrimitives.ReadUInt32LittleEndian(message[8..]);
        switch (type)
        {
            case NvspMessage.Initialize:
                Negotiate(first, second);
                Answer(packet.TransactionId);
                break;
            case NvspMessage.SendNdisConfiguration:
                _control.MaximumFrame = Math.Clamp(first, DefaultFrame + EthernetHeader, MaximumFrame + EthernetHeader) - EthernetHeader;
                _control.CanCoalesce = _control.Version >= CoalescingVersion && (message[CapabilitiesOffset] & CoalescingCapability) != 0 && (_backend.Offloads & Coalesced) == Coalesced;
                break;
            case NvspMessage.SendReceiveBuffer:
                TakeReceiveBuffer(first);
                _receiveBufferId = (ushort)second;
                Answer(packet.TransactionId);
                break;
            case NvspMessage.RevokeReceiveBuffer:
                _receiveBuffer.Clear();
                _sections.Set(0, 0);
                break;
            case NvspMessage.SendSendBuffer:
                TakeSendBuffer(first);
                Answer(packet.TransactionId);
                break;
            case NvspMessage.RevokeSendBuffer:
                _sendBuffer.Clear();
                break;
            case NvspMessage.SendRndisPacket:
                _sendsOn = channel;
                TakeRndis(packet, channel.Primary is null ? first : DataChannel, second, BinaryPrimitives.ReadUInt32LittleEndian(message[12..]));
                break;
            case NvspMessage.Subchannel:
                OfferSubChannels(channel, first, second);
                Answer(packet.TransactionId);
                SendTable();
                break;
            case NvspMessage.SwitchDataPath:
                channel.TrySend(VmBusPacket.Completion, packet.TransactionId, []);
                break;
        }
    }

    private void SetReceiveOffloads() => _backend.SetReceiveOffloads(_backend.Offloads & (_control.Coalesces ? Coalesced : NetworkOffloads.Checksum));

    private void Begin(NvspMessage type, NvspStatus status)
    {
        _answer.AsSpan().Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(_answer, (uint)type);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(4), (uint)status);
    }

    private void Answer(ulong transaction)
    {
        _answerTransaction = transaction;
        _answerWaits = _answersOn is { IsOpen: true } channel && !channel.TrySend(VmBusPacket.Completion, transaction, _answer);
    }

    private void Negotiate(uint minimum, uint maximum)
    {
        const uint LongestChain = 34;
        uint version = 0;
        foreach (uint known in Versions)
        {
            version = known >= minimum && known <= maximum ? known : version;
        }

        _control.Version = version;
        _answer.AsSpan().Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(_answer, (uint)NvspMessage.InitializeComplete);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(4), version);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(8), LongestChain);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(12), (uint)(version == 0 ? NvspStatus.ProtocolUnsupported : NvspStatus.Success));
    }

    private void TakeReceiveBuffer(uint gpadl)
    {
        const int Unit = 64;
        _receiveBuffer.Set(Channel is { } channel ? _bus.GetPages(channel, gpadl) : []);
        uint size = Math.Max(_control.CanCoalesce ? CoalescedSection : SmallestSection, (_control.MaximumFrame + EthernetHeader + FrameStart + Unit - 1) & ~(Unit - 1u));
        int count = (int)Math.Min(_receiveBuffer.Length / size, ReceiveSections.MaximumCount);
        _sections.Set(count, size);
        Begin(NvspMessage.SendReceiveBufferComplete, count <= ControlReserve ? NvspStatus.Failure : NvspStatus.Success);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(8), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(16), size);
        BinaryPrimitives.WriteInt32LittleEndian(_answer.AsSpan(20), count);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(24), size * (uint)count);
    }

    private void TakeSendBuffer(uint gpadl)
    {
        _sendBuffer.Set(Channel is { } channel ? _bus.GetPages(channel, gpadl) : []);
        Begin(NvspMessage.SendSendBufferComplete, _sendBuffer.Length < SendSectionSize ? NvspStatus.Failure : NvspStatus.Success);
        BinaryPrimitives.WriteUInt32LittleEndian(_answer.AsSpan(8), SendSectionSize);
    }

    // The message's bytes are those of its section, and then of its pages.
    private void TakeRndis(in VmBusPacket packet, uint channelType, uint section, uint sectionLength)
    {
        _transaction = packet.TransactionId;
        _pieceCount = 0;
        bool valid = section == NoSection
            || (section < _sendBuffer.Length / SendSectionSize && sectionLength <= SendSectionSize
                && _sendBuffer.TryCollect(section * SendSectionSize, sectionLength, _pieces, ref _pieceCount));
        valid = valid && GpaRange.TryCollect(_memory, packet, RndisControl.MaximumTransfer, _pieces, ref _pieceCount);
        _length = _position = 0;
        for (int i = 0; i < _pieceCount; i++)
        {
            _length += _pieces[i].Length;
        }

        if (!valid || _control.Version == 0)
        {
            Finish(NvspStatus.InvalidRndisPacket);
        }
        else if (channelType == ControlChannel)
        {
            Control();
        }
        else
        {
            _sending = true;
            Transmit();
        }
    }

    private void Control()
    {
        int length = GuestBuffers.Read(_memory, _pieces.AsSpan(0, _pieceCount), 0, _request);
        int given = length >= 8 ? (int)Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(_request.AsSpan(4)), (uint)length) : 0;
        bool coalesced = _control.Coalesces;
        _indicationLength = _control.Execute(_request.AsSpan(0, given), _indication);
        if (_control.Coalesces != coalesced)
        {
            SetReceiveOffloads();
        }

        if (_indicationLength != 0 && TryIndicate(_indication.AsSpan(0, _indicationLength)))
        {
            _indicationLength = 0;
        }

        Finish(NvspStatus.Success);
    }

    // Those that there are, and a table by which the driver may spread what it sends.
    private void OfferSubChannels(VmBusChannel channel, uint operation, uint count)
    {
        const uint Allocate = 1;
        const uint FirstVersion = 0x5_0000;
        int offered = operation == Allocate && _control.Version >= FirstVersion && count != 0 ? _bus.OfferSubChannels(channel, (int)Math.Min(count, (uint)_control.Channels - 1)) : 0;
        Begin(NvspMessage.Subchannel, offered == 0 ? NvspStatus.Failure : NvspStatus.Success);
        BinaryPrimitives.WriteInt32LittleEndian(_answer.AsSpan(8), offered);
        _tableChannels = offered + 1;
        _tableWaits = offered != 0;
    }

    private void SendTable()
    {
        const int TableLength = 16;
        const int TableOffset = 12;
        if (_tableWaits && !_answerWaits && Channel is { } channel)
        {
            Span<byte> message = stackalloc byte[(TableOffset + (TableLength * sizeof(uint)) + 7) & ~7];
            message.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)NvspMessage.SendIndirectionTable);
            BinaryPrimitives.WriteInt32LittleEndian(message[4..], TableLength);
            BinaryPrimitives.WriteInt32LittleEndian(message[8..], TableOffset);
            for (int i = 0; i < TableLength; i++)
            {
                BinaryPrimitives.WriteInt32LittleEndian(message[(TableOffset + (i * sizeof(uint)))..], i % _tableChannels);
            }

            _tableWaits = !channel.TrySend(VmBusPacket.InBand, 0, message);
        }
    }

    private void Finish(NvspStatus status)
    {
        _sending = false;
        _answersOn = _sendsOn;
        Begin(NvspMessage.SendRndisPacketComplete, status);
        Answer(_transaction);
    }

    // Sends what is left of a message, packet by packet.
    private void Transmit()
    {
        while (_sending)
        {
            if (!_sender.TryFlush())
            {
                return;
            }

            if (_length - _position < PacketHeader)
            {
                Finish(_position == 0 ? NvspStatus.InvalidRndisPacket : NvspStatus.Success);
                return;
            }

            if (!TryParse(out uint messageLength, out int parts, out PacketInformation information))
            {
                Finish(NvspStatus.InvalidRndisPacket);
                return;
            }

            if (!_sender.TrySend(_parts.AsSpan(0, parts), information.Offload, information.Tag))
            {
                return;
            }

            _position += messageLength;
        }
    }

    private bool TryParse(out uint messageLength, out int parts, out PacketInformation information)
    {
        Span<byte> header = stackalloc byte[PacketHeader];
        Span<byte> elements = stackalloc byte[PacketInformation.MaximumLength];
        ReadOnlySpan<GuestBuffer> pieces = _pieces.AsSpan(0, _pieceCount);
        GuestBuffers.Read(_memory, pieces, _position, header);
        messageLength = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint dataOffset = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        uint dataLength = BinaryPrimitives.ReadUInt32LittleEndian(header[12..]);
        uint elementsOffset = BinaryPrimitives.ReadUInt32LittleEndian(header[28..]);
        uint elementsLength = BinaryPrimitives.ReadUInt32LittleEndian(header[32..]);
        parts = 0;
        information = default;
        uint room = messageLength - RndisHeader;
        if ((RndisMessageType)BinaryPrimitives.ReadUInt32LittleEndian(header) != RndisMessageType.Packet || messageLength < PacketHeader || messageLength > _length - _position
            || dataOffset > room || dataLength > room - dataOffset || elementsLength > PacketInformation.MaximumLength
            || (elementsLength != 0 && (elementsOffset > room || elementsLength > room - elementsOffset)))
        {
            return false;
        }

        elements = elements[..(int)elementsLength];
        GuestBuffers.Read(_memory, pieces, _position + RndisHeader + elementsOffset, elements);
        if (!PacketInformation.TryParse(elements, out information) || !TrySlice(_position + RndisHeader + dataOffset, dataLength, out parts))
        {
            return false;
        }

        if (information.FindsChecksum)
        {
            Span<byte> head = stackalloc byte[TransportChecksum.HeadLength];
            int length = GuestBuffers.Read(_memory, _parts.AsSpan(0, parts), 0, head);
            TransportChecksum.TryLocate(head[..length], out PacketOffload offload);
            information = information with { Offload = offload };
        }

        return true;
    }

    // The pieces of a part of the message.
    private bool TrySlice(uint offset, uint length, out int parts)
    {
        parts = 0;
        for (int i = 0; i < _pieceCount && length > 0; i++)
        {
            GuestBuffer piece = _pieces[i];
            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            if (parts == _parts.Length)
            {
                return false;
            }

            piece = piece.Skip(offset);
            piece = piece.Take(Math.Min(piece.Length, length));
            _parts[parts++] = piece;
            length -= piece.Length;
            offset = 0;
        }

        return length == 0;
    }
}
