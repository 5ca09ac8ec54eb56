using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Network;

/// <summary>
/// Sends a guest's packets to a wire, with the work that the guest left to its card: by the wire where it can, or here. One call at a time.
/// </summary>
internal sealed class PacketSender
{
    /// <summary>Most pieces of a packet.</summary>
    internal const int MaximumParts = 64;

    private const int HeaderLength = INetworkBackend.HeaderLength;
    private const int MaximumFrame = INetworkBackend.MaximumPacketLength - HeaderLength;
    private const int TagLength = 4;

    // The least payload of a segment but the last: no guest's TCP has less (Linux, TCP_MIN_GSO_SIZE), and whoever asked for one byte would have a frame made of each of 65,536, in one go.
    private const int LeastSegment = 48;
    private const byte NeedsChecksum = 1;
    private const byte SegmentIpv4 = 1;
    private const byte SegmentIpv6 = 4;

    private readonly GuestMemory _memory;
    private readonly INetworkBackend _backend;
    private readonly GuestBuffer[] _parts = new GuestBuffer[MaximumParts + 1];
    private readonly byte[] _head = GC.AllocateArray<byte>(HeaderLength + TcpFrame.MaximumHeaders, pinned: true);
    private readonly byte[] _frame = GC.AllocateArray<byte>(HeaderLength + MaximumFrame + TagLength, pinned: true);
    private readonly byte[] _segment = GC.AllocateArray<byte>(HeaderLength + MaximumFrame + TagLength, pinned: true);
    private TcpFrame _headers;
    private int _frameLength;
    private int _sent;
    private int _segmentSize;
    private bool _isPending;

    internal PacketSender(GuestMemory memory, INetworkBackend backend)
    {
        _memory = memory;
        _backend = backend;
    }

    /// <summary>Sends what is left of the packet before.</summary>
    /// <returns><c>false</c> if the wire is full.</returns>
    internal bool TryFlush()
    {
        while (_isPending)
        {
            int length = BuildSegment();
            if (!_backend.TryTransmit([Own(_segment, HeaderLength + length)]))
            {
                return false;
            }

            _sent += _segmentSize;
            _isPending = _sent < _frameLength - _headers.Payload;
        }

        return true;
    }

    /// <summary>Forgets what is left of the packet before.</summary>
    internal void Reset() => _isPending = false;

    /// <summary>Writes up to three fields: what is left of the packet before.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)(uint)(_isPending ? _segmentSize : 0));
        if (_isPending)
        {
            state.Write((ushort)(field + 1), (ulong)(uint)_sent);
            state.Write((ushort)(field + 2), _frame.AsSpan(HeaderLength, _frameLength));
        }
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        uint size = 0;
        uint sent = 0;
        _isPending = false;
        bool valid = state.TryTake(field, ref size);
        if (!valid || size == 0)
        {
            return valid;
        }

        _frameLength = state.TryRead((ushort)(field + 2), _frame.AsSpan(HeaderLength));
        valid = state.TryTake((ushort)(field + 1), ref sent) && _frameLength > 0 && size <= MaximumFrame && TcpFrame.TryParse(_frame.AsSpan(HeaderLength, _frameLength), out _headers)
            && sent < (uint)(_frameLength - _headers.Payload);
        (_segmentSize, _sent, _isPending) = (Math.Max((int)size, LeastSegment), (int)sent, valid);
        return valid;
    }

    /// <summary>Sends a packet. After <see cref="TryFlush"/> has sent everything. What cannot be one vanishes.</summary>
    /// <param name="packet">The frame.</param>
    /// <param name="offload">Work that is left to do.</param>
    /// <param name="tag">The 802.1Q tag to insert; null for none.</param>
    /// <returns><c>false</c> if the wire is full; then it is to be offered again.</returns>
    internal bool TrySend(ReadOnlySpan<GuestBuffer> packet, PacketOffload offload, ushort? tag)
    {
        ulong length = 0;
        foreach (GuestBuffer part in packet)
        {
            length += part.Length;
        }

        const int Ethernet = 14;
        bool segments = offload.SegmentSize != 0;
        offload = segments ? offload with { SegmentSize = Math.Max(offload.SegmentSize, LeastSegment) } : offload;
        bool plain = !segments && offload.ChecksumStart == 0 && tag is null;
        if (length is < Ethernet or > MaximumFrame || packet.Length > MaximumParts
            || offload.ChecksumStart + offload.ChecksumOffset + 2 > (int)length && offload.ChecksumStart != 0)
        {
            return true;
        }

        if (plain || (tag is null && CanLeave(packet, (int)length, offload)))
        {
            return SendDirect(packet, offload);
        }

        Linearize(packet, tag);
        int shift = tag is null ? 0 : TagLength;
        Span<byte> frame = _frame.AsSpan(HeaderLength, _frameLength);
        if (segments && TcpFrame.TryParse(frame, out _headers) && _frameLength - _headers.Payload > offload.SegmentSize)
        {
            _segmentSize = offload.SegmentSize;
            _sent = 0;
            _isPending = true;
            TryFlush();
            return true;
        }

        if (segments)
        {
            // A single segment, whose checksum begins with an empty pseudo-header.
            if (_headers.Payload == 0)
            {
                return true;
            }

            SetLength(frame, _headers, _frameLength - _headers.Network);
            SetPseudoHeader(frame, _headers, _frameLength - _headers.Transport);
            InternetChecksum.Complete(frame[_headers.Transport..], TcpFrame.ChecksumOffset);
        }
        else if (offload.ChecksumStart != 0)
        {
            InternetChecksum.Complete(frame[(offload.ChecksumStart + shift)..], offload.ChecksumOffset);
        }

        _frame.AsSpan(0, HeaderLength).Clear();
        return _backend.TryTransmit([Own(_frame, HeaderLength + _frameLength)]);
    }

    private static GuestBuffer Own(byte[] pinned, int length) => new(0, Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0), (uint)length);

    private static void SetPseudoHeader(Span<byte> frame, in TcpFrame headers, int length)
    {
        BinaryPrimitives.WriteUInt16BigEndian(frame[(headers.Transport + TcpFrame.ChecksumOffset)..], (ushort)headers.SumPseudoHeader(frame, length));
    }

    private static void SetIpv4Checksum(Span<byte> frame, in TcpFrame headers)
    {
        const int Checksum = 10;
        if (!headers.IsIpv6)
        {
            Span<byte> header = frame[headers.Network..headers.Transport];
            header.Slice(Checksum, 2).Clear();
            BinaryPrimitives.WriteUInt16BigEndian(header[Checksum..], (ushort)~InternetChecksum.Fold(InternetChecksum.Add(header, 0)));
        }
    }

    // Guests leave the length of what is to be segmented out of the IP header, or not.
    private static void SetLength(Span<byte> frame, in TcpFrame headers, int length)
    {
        const int Ipv4Length = 2;
        const int Ipv6PayloadLength = 4;
        const int Ipv6Header = 40;
        Span<byte> network = frame[headers.Network..];
        BinaryPrimitives.WriteUInt16BigEndian(network[(headers.IsIpv6 ? Ipv6PayloadLength : Ipv4Length)..], (ushort)(headers.IsIpv6 ? length - Ipv6Header : length));
        SetIpv4Checksum(frame, headers);
    }

    // Whether the wire does the work. For segmentation, the headers are in hand afterwards.
    private bool CanLeave(ReadOnlySpan<GuestBuffer> packet, int length, in PacketOffload offload)
    {
        if ((_backend.Offloads & NetworkOffloads.Checksum) == 0)
        {
            return false;
        }

        if (offload.SegmentSize == 0)
        {
            return true;
        }

        Span<byte> head = _head.AsSpan(HeaderLength, Math.Min(length, TcpFrame.MaximumHeaders));
        GuestBuffers.Read(_memory, packet, 0, head);
        return TcpFrame.TryParse(head, out _headers) && length - _headers.Payload > offload.SegmentSize
            && (_backend.Offloads & (_headers.IsIpv6 ? NetworkOffloads.SegmentTcp6 : NetworkOffloads.SegmentTcp4)) != 0;
    }

    private bool SendDirect(ReadOnlySpan<GuestBuffer> packet, in PacketOffload offload)
    {
        Span<byte> header = _head.AsSpan(0, HeaderLength);
        header.Clear();
        int copied = 0;
        if (offload.SegmentSize != 0)
        {
            // The headers were copied. Guests leave the length out of the pseudo-header, and wires want it there.
            copied = _headers.Payload;
            int length = 0;
            foreach (GuestBuffer part in packet)
            {
                length += (int)part.Length;
            }

            SetLength(_head.AsSpan(HeaderLength, copied), _headers, length - _headers.Network);
            SetPseudoHeader(_head.AsSpan(HeaderLength, copied), _headers, length - _headers.Transport);
            header[0] = NeedsChecksum;
            header[1] = _headers.IsIpv6 ? SegmentIpv6 : SegmentIpv4;
            BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)copied);
            BinaryPrimitives.WriteUInt16LittleEndian(header[4..], (ushort)offload.SegmentSize);
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], (ushort)_headers.Transport);
            BinaryPrimitives.WriteUInt16LittleEndian(header[8..], TcpFrame.ChecksumOffset);
        }
        else if (offload.ChecksumStart != 0)
        {
            header[0] = NeedsChecksum;
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], (ushort)offload.ChecksumStart);
            BinaryPrimitives.WriteUInt16LittleEndian(header[8..], (ushort)offload.ChecksumOffset);
        }

        int count = 1;
        _parts[0] = Own(_head, HeaderLength + copied);
        uint skip = (uint)copied;
        foreach (GuestBuffer part in packet)
        {
            uint here = Math.Min(skip, part.Length);
            skip -= here;
            if (here < part.Length)
            {
                _parts[count++] = part.Skip(here);
            }
        }

        return _backend.TryTransmit(_parts.AsSpan(0, count));
    }

    private void Linearize(ReadOnlySpan<GuestBuffer> packet, ushort? tag)
    {
        const int Addresses = 12;
        const ushort TagType = 0x8100;
        Span<byte> frame = _frame.AsSpan(HeaderLength);
        _headers = default;
        if (tag is not { } value)
        {
            _frameLength = GuestBuffers.Read(_memory, packet, 0, frame[..MaximumFrame]);
            return;
        }

        GuestBuffers.Read(_memory, packet, 0, frame[..Addresses]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[Addresses..], TagType);
        BinaryPrimitives.WriteUInt16BigEndian(frame[(Addresses + 2)..], value);
        _frameLength = Addresses + TagLength + GuestBuffers.Read(_memory, packet, Addresses, frame.Slice(Addresses + TagLength, MaximumFrame - Addresses));
    }

    // The next segment with headers of its own.
    private int BuildSegment()
    {
        const int Ipv4Identification = 4;
        const int SequenceNumber = 4;
        const int ControlBits = 13;
        const byte LastOnly = 0x09;
        const byte FirstOnly = 0x80;
        int all = _frameLength - _headers.Payload;
        int payload = Math.Min(_segmentSize, all - _sent);
        Span<byte> segment = _segment.AsSpan(HeaderLength, _headers.Payload + payload);
        _segment.AsSpan(0, HeaderLength).Clear();
        ReadOnlySpan<byte> frame = _frame.AsSpan(HeaderLength, _frameLength);
        frame[.._headers.Payload].CopyTo(segment);
        frame.Slice(_headers.Payload + _sent, payload).CopyTo(segment[_headers.Payload..]);
        Span<byte> network = segment[_headers.Network..];
        Span<byte> transport = segment[_headers.Transport..];
        if (!_headers.IsIpv6)
        {
            ushort identification = BinaryPrimitives.ReadUInt16BigEndian(network[Ipv4Identification..]);
            BinaryPrimitives.WriteUInt16BigEndian(network[Ipv4Identification..], (ushort)(identification + (_sent / _segmentSize)));
        }

        SetLength(segment, _headers, network.Length);

        BinaryPrimitives.WriteUInt32BigEndian(transport[SequenceNumber..], BinaryPrimitives.ReadUInt32BigEndian(transport[SequenceNumber..]) + (uint)_sent);
        if (_sent + payload < all)
        {
            transport[ControlBits] &= unchecked((byte)~LastOnly);
        }

        // The window was reduced once (RFC 3168, section 6.1.2).
        if (_sent != 0)
        {
            transport[ControlBits] &= unchecked((byte)~FirstOnly);
        }

        SetPseudoHeader(segment, _headers, transport.Length);
        InternetChecksum.Complete(transport, TcpFrame.ChecksumOffset);
        return segment.Length;
    }
}
