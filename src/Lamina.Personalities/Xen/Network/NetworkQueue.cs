using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.Network;
using Lamina.Personalities.Xen.Bus;

namespace Lamina.Personalities.Xen.Network;

/// <summary>A pair of rings of a network card, their event channels, and the line of the wire behind them. With the card's lock held unless it says otherwise.</summary>
internal sealed partial class NetworkQueue : INetworkReceiver
{
    private const int TransmitLength = 12;
    private const int ReceiveLength = 8;
    private const int MaximumSlots = 20;
    private const int MaximumExtras = 6;
    private const int PageSize = GuestMemory.PageSize;
    private const int HeaderLength = INetworkBackend.HeaderLength;
    private const ushort ChecksumBlank = 1;
    private const ushort MoreData = 4;
    private const ushort ExtraInformation = 8;
    private const ushort ReceiveValidated = 1;
    private const ushort ReceiveBlank = 2;
    private const byte ExtraSegmentation = 1;
    private const byte ExtraMore = 1;
    private const byte SegmentIpv4 = 1;
    private const byte SegmentIpv6 = 2;
    private const short Okay = 0;
    private const short Error = -1;
    private const short Null = 1;

    private readonly NetworkBackEnd _owner;
    private readonly XenDomain _domain;
    private readonly PacketSender _sender;
    private readonly SharedRing _transmit;
    private readonly SharedRing _receive;
    private readonly NetworkEvent _transmitEvent;
    private readonly NetworkEvent _receiveEvent;
    private readonly GuestBuffer[] _parts = new GuestBuffer[MaximumSlots];
    private readonly ushort[] _identifiers = new ushort[MaximumSlots];
    private readonly ulong[] _pages = new ulong[MaximumSlots];
    private bool _receiverWaits;

    internal NetworkQueue(NetworkBackEnd owner, XenDomain domain, INetworkBackend line)
    {
        _owner = owner;
        _domain = domain;
        Line = line;
        _sender = new PacketSender(domain.Memory, line);
        _transmit = new SharedRing(domain.Memory, domain.Grants, TransmitLength);
        _receive = new SharedRing(domain.Memory, domain.Grants, ReceiveLength);
        _transmitEvent = new NetworkEvent(this);
        _receiveEvent = new NetworkEvent(this);
        line.SetReceiver(this);
    }

    /// <summary>Its line of the wire.</summary>
    internal INetworkBackend Line { get; }

    /// <summary>Whether it has rings.</summary>
    internal bool IsOpen { get; private set; }

    /// <summary>Whether the front end has broken the protocol; the card is to fail.</summary>
    internal bool IsBroken => _transmit.IsBroken || _receive.IsBroken;

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        _owner.Enter();
        bool taken = !IsOpen || !_owner.Serves || packet.Length < HeaderLength || Deliver(packet[..HeaderLength], packet[HeaderLength..]);
        _receiverWaits = !taken;
        _owner.Exit();
        return taken;
    }

    /// <inheritdoc/>
    public void OnTransmitReady()
    {
        _owner.Enter();
        Transmit();
        _owner.Exit();
    }

    /// <inheritdoc/>
    public void OnLinkChanged(bool up)
    {
    }

    /// <summary>The front end has sent an event. Without the lock.</summary>
    internal void OnEvent()
    {
        _owner.Enter();
        Transmit();
        bool resumes = _receiverWaits;
        _receiverWaits = false;
        _owner.Exit();
        if (resumes)
        {
            Line.ResumeReceive();
        }
    }

    /// <summary>Takes rings and channels.</summary>
    /// <param name="transmit">The grant of the ring on which the front end sends.</param>
    /// <param name="receive">The grant of the other.</param>
    /// <param name="transmitPort">The channel.</param>
    /// <param name="receivePort">The channel of the other ring; 0 if both have one.</param>
    /// <returns><c>false</c> if there is something wrong with them.</returns>
    internal bool TryOpen(uint transmit, uint receive, uint transmitPort, uint receivePort)
    {
        IsOpen = _transmit.TryOpen([transmit]) && _receive.TryOpen([receive]) && TryBind(_transmitEvent, transmitPort) && (receivePort == 0 || TryBind(_receiveEvent, receivePort));
        return IsOpen;
    }

    /// <summary>Gives them back.</summary>
    internal void Close()
    {
        IsOpen = false;
        Unbind(_transmitEvent);
        Unbind(_receiveEvent);
        _transmit.Close();
        _receive.Close();
        _sender.Reset();
    }

    private bool TryBind(NetworkEvent channel, uint port)
    {
        bool bound = _domain.Events.TryBind(port, channel);
        channel.Port = bound ? port : 0;
        return bound;
    }

    private void Unbind(NetworkEvent channel)
    {
        if (channel.Port != 0)
        {
            _domain.Events.Unbind(channel.Port, channel);
        }

        channel.Port = 0;
    }

    /// <summary>Sends what there is.</summary>
    internal void Transmit()
    {
        bool more = IsOpen && _owner.Serves;
        while (more)
        {
            uint available = _transmit.GetAvailable();
            while (available > 0 && _sender.TryFlush())
            {
                int slots = Send(available);
                if (slots <= 0)
                {
                    break;
                }

                available -= (uint)slots;
            }

            // What the wire does not take waits until it says that it does.
            more = available == 0 && _transmit.FinalCheck();
        }

        if (IsBroken)
        {
            _owner.EndService("the ring's indexes cannot be"u8);
        }
        else if (IsOpen && _transmit.Push())
        {
            _domain.Events.Signal(_transmitEvent.Port, _transmitEvent);
        }
    }

    // Sends the next packet. The answer is how many slots it took: 0 if the wire is full, or the front end has made a mistake that ends it.
    private int Send(uint available)
    {
        Span<byte> entry = stackalloc byte[TransmitLength];
        Span<byte> extra = stackalloc byte[TransmitLength];
        _transmit.Peek(0, entry);
        ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]);
        int total = BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]);
        uint slots = 1;
        int extras = 0;
        int segment = 0;
        bool valid = true;
        for (bool next = (flags & ExtraInformation) != 0; next; extras++)
        {
            if (slots == available || extras == MaximumExtras)
            {
                _owner.EndService("a packet ends in its extra information"u8);
                return 0;
            }

            _transmit.Peek(slots++, extra);
            next = (extra[1] & ExtraMore) != 0;
            valid &= extra[0] == ExtraSegmentation && extra[4] is SegmentIpv4 or SegmentIpv6;
            segment = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
        }

        int parts = 0;
        int first = total;
        while (true)
        {
            ushort size = parts == 0 ? (ushort)0 : BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]);
            _identifiers[parts] = BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]);
            valid &= TryGetPart(entry, parts == 0 ? null : size, ref _parts[parts]);
            first -= size;
            parts++;
            if ((BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]) & MoreData) == 0)
            {
                break;
            }

            if (slots == available || parts == MaximumSlots || first <= 0)
            {
                _owner.EndService("a packet has too many or too long pieces"u8);
                return 0;
            }

            _transmit.Peek(slots++, entry);
        }

        // The size of the first piece is that of the packet less the others.
        valid &= first > 0 && first <= _parts[0].Length;
        if (valid)
        {
            _parts[0] = _parts[0].Take((uint)first);
            if (!_sender.TrySend(_parts.AsSpan(0, parts), GetOffload(flags, segment, parts), null))
            {
                return 0;
            }
        }

        _transmit.Advance(slots);
        for (int i = 0; i < parts; i++)
        {
            RespondTransmit(_identifiers[i], valid ? Okay : Error);
        }

        for (int i = 0; i < extras; i++)
        {
            RespondTransmit(0, Null);
        }

        return (int)slots;
    }

    // A piece of its length, or, for the first, whose length is not known yet, to the end of its page.
    private bool TryGetPart(ReadOnlySpan<byte> entry, ushort? size, ref GuestBuffer part)
    {
        uint offset = BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]);
        uint room = PageSize - Math.Min(offset, PageSize);
        uint length = size ?? room;
        if (length == 0 || length > room || !_domain.Grants.TryGet(BinaryPrimitives.ReadUInt32LittleEndian(entry), write: false, out ulong address, out nint host))
        {
            part = default;
            return false;
        }

        part = new GuestBuffer(address + offset, host + (nint)offset, length);
        return true;
    }

    private PacketOffload GetOffload(ushort flags, int segment, int parts)
    {
        if (segment != 0)
        {
            return new PacketOffload(0, 0, segment);
        }

        if ((flags & ChecksumBlank) == 0)
        {
            return default;
        }

        Span<byte> head = stackalloc byte[TransportChecksum.HeadLength];
        int length = GuestBuffers.Read(_domain.Memory, _parts.AsSpan(0, parts), 0, head);
        TransportChecksum.TryLocate(head[..length], out PacketOffload offload);
        return offload;
    }

    private void RespondTransmit(ushort id, short status)
    {
        Span<byte> response = stackalloc byte[4];
        BinaryPrimitives.WriteUInt16LittleEndian(response, id);
        BinaryPrimitives.WriteInt16LittleEndian(response[2..], status);
        _transmit.Put(response);
    }

    private bool Deliver(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        const byte NeedsChecksum = 1;
        const byte IsValid = 2;
        const byte TypeMask = 0x7f;
        const byte Tcp6 = 4;
        byte segmentType = (byte)(header[1] & TypeMask);
        int parts = (frame.Length + PageSize - 1) / PageSize;
        int slots = parts + (segmentType != 0 ? 1 : 0);
        if (frame.Length is 0 or > ushort.MaxValue || slots > MaximumSlots)
        {
            return true;
        }

        if (!_receive.FinalCheck((uint)slots))
        {
            return _receive.IsBroken;
        }

        bool valid = true;
        Span<byte> entry = stackalloc byte[ReceiveLength];
        for (int i = 0; i < slots; i++)
        {
            _receive.Peek((uint)i, entry);
            _identifiers[i] = BinaryPrimitives.ReadUInt16LittleEndian(entry);
            valid &= (i == 1 && segmentType != 0) || _domain.Grants.TryGet(BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]), write: true, out _pages[i], out _);
        }

        _receive.Advance((uint)slots);
        ushort flags = (header[0] & NeedsChecksum) != 0 ? (ushort)(ReceiveBlank | ReceiveValidated) : (header[0] & IsValid) != 0 ? ReceiveValidated : (ushort)0;
        for (int i = 0; i < slots; i++)
        {
            if (i == 1 && segmentType != 0)
            {
                PutSegmentation(BinaryPrimitives.ReadUInt16LittleEndian(header[4..]), segmentType == Tcp6 ? SegmentIpv6 : SegmentIpv4);
                continue;
            }

            ReadOnlySpan<byte> part = frame[..Math.Min(frame.Length, PageSize)];
            frame = frame[part.Length..];
            if (valid)
            {
                _domain.Memory.TryWrite(_pages[i], part);
            }

            ushort both = (ushort)((frame.Length > 0 ? MoreData : 0) | (i == 0 ? flags | (segmentType != 0 ? ExtraInformation : 0) : 0));
            RespondReceive(_identifiers[i], both, valid ? (short)part.Length : Error);
        }

        if (_receive.Push())
        {
            NetworkEvent channel = _receiveEvent.Port != 0 ? _receiveEvent : _transmitEvent;
            _domain.Events.Signal(channel.Port, channel);
        }

        return true;
    }

    private void RespondReceive(ushort id, ushort flags, short status)
    {
        Span<byte> response = stackalloc byte[ReceiveLength];
        response.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(response, id);
        BinaryPrimitives.WriteUInt16LittleEndian(response[4..], flags);
        BinaryPrimitives.WriteInt16LittleEndian(response[6..], status);
        _receive.Put(response);
    }

    private void PutSegmentation(ushort size, byte type)
    {
        Span<byte> extra = stackalloc byte[ReceiveLength];
        extra.Clear();
        extra[0] = ExtraSegmentation;
        BinaryPrimitives.WriteUInt16LittleEndian(extra[2..], size);
        extra[4] = type;
        _receive.Put(extra);
    }
}
