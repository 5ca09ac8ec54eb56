using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.HyperV.Network;

/// <content>
/// Packets and messages for the driver. Segments of TCP that the wire hands over as one frame go to drivers that take them so (receive segment coalescing), in as many parts of the receive buffer as
/// it takes: messages of one packet.
/// </content>
public sealed partial class NetworkProvider
{
    private const uint RndisHeader = 8;
    private const int ElementLength = PacketInformation.ElementHeader + sizeof(uint);
    private const int FrameStart = PacketHeader + ElementLength;

    // Parts of the receive buffer that are kept for answers.
    private const int ControlReserve = 8;

    // As all known drivers call it.
    private const ushort UsualReceiveBuffer = 0xcafe;
    private const uint TcpChecksumSucceeded = 1 << 3;
    private const uint UdpChecksumSucceeded = 1 << 4;
    private const uint TcpChecksumInvalid = 1 << 7;

    // A frame as long as they come, in the smallest parts that there are where frames are that long.
    private const int MaximumParts = 5;
    private const int RangesStart = 8;

    /// <summary>What a message holds of a frame.</summary>
    [Flags]
    private enum PartKind : uint
    {
        /// <summary>All of it.</summary>
        None = 0,
        Part = 1,
        First = 2,
        Last = 4,
    }

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        _bus.Gate.Enter();
        ReadOnlySpan<byte> frame = packet.Length < INetworkBackend.HeaderLength ? [] : packet[INetworkBackend.HeaderLength..];
        bool taken = _bus.IsStopped || Channel is null || !_control.Wants(frame) || Deliver(packet, frame);
        _receiverWaits |= !taken;
        _bus.Gate.Exit();
        return taken;
    }

    // A frame that no number of parts can hold is lost.
    private bool Deliver(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        const uint PartStart = FrameStart + ElementLength;
        bool isWhole = FrameStart + (uint)frame.Length <= _sections.Size;
        if (!isWhole && (!_control.CanCoalesce || frame.Length > MaximumParts * (int)(_sections.Size - PartStart)))
        {
            return true;
        }

        int room = (int)(_sections.Size - PartStart);
        Span<int> sections = stackalloc int[MaximumParts];
        sections = sections[..(isWhole ? 1 : (frame.Length + room - 1) / room)];
        if (!_sections.TryTake(ControlReserve, sections))
        {
            return false;
        }

        ArrivedFrame arrived = ArrivedFrame.Read(header, frame);

        // Of what is many segments nobody sends the checksum on as it is.
        uint known = (!arrived.IsGood ? 0 : arrived.IsTcp ? TcpChecksumSucceeded : UdpChecksumSucceeded) | (arrived.IsSegmented ? TcpChecksumInvalid : 0);
        Span<byte> checksum = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16BigEndian(checksum, arrived.Checksum);
        Span<uint> lengths = stackalloc uint[MaximumParts];
        ReadOnlySpan<byte> rest = frame;
        for (int i = 0; i < sections.Length; i++)
        {
            ReadOnlySpan<byte> part = isWhole ? rest : rest[..Math.Min(room, rest.Length)];
            rest = rest[part.Length..];
            PartKind kind = isWhole ? PartKind.None : PartKind.Part | (i == 0 ? PartKind.First : 0) | (rest.IsEmpty ? PartKind.Last : 0);
            lengths[i] = Put((uint)sections[i] * _sections.Size, part, kind, known);
            if (i == 0 && arrived.ChecksumPlace != 0 && arrived.ChecksumPlace + sizeof(ushort) <= part.Length)
            {
                _receiveBuffer.Write(((uint)sections[0] * _sections.Size) + lengths[0] - (uint)part.Length + (uint)arrived.ChecksumPlace, checksum);
            }
        }

        return TryPost(_channels[_control.Scaling.Select(frame)] ?? Channel, sections, lengths, DataChannel);
    }

    // Writes a message with a frame, or a part of one.
    private uint Put(uint at, ReadOnlySpan<byte> data, PartKind kind, uint known)
    {
        int elements = kind == PartKind.None ? ElementLength : 2 * ElementLength;
        Span<byte> message = stackalloc byte[PacketHeader + (2 * ElementLength)];
        message = message[..(PacketHeader + elements)];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)RndisMessageType.Packet);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], message.Length + data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], (uint)message.Length - RndisHeader);
        BinaryPrimitives.WriteInt32LittleEndian(message[12..], data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[28..], PacketHeader - RndisHeader);
        BinaryPrimitives.WriteInt32LittleEndian(message[32..], elements);
        PutElement(message[PacketHeader..], PacketInformation.Checksum, known);
        if (kind != PartKind.None)
        {
            const uint PartVersion = 1;
            PutElement(message[(PacketHeader + ElementLength)..], PacketInformation.FramePart, PartVersion | ((uint)kind << 8));
        }

        _receiveBuffer.Write(at, message);
        _receiveBuffer.Write(at + (uint)message.Length, data);
        return (uint)(message.Length + data.Length);
    }

    private static void PutElement(Span<byte> element, uint type, uint value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(element, ElementLength);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], type);
        BinaryPrimitives.WriteInt32LittleEndian(element[8..], PacketInformation.ElementHeader);
        BinaryPrimitives.WriteUInt32LittleEndian(element[PacketInformation.ElementHeader..], value);
    }

    private bool TryIndicate(ReadOnlySpan<byte> message)
    {
        if (!_sections.TryTake(0, out int section))
        {
            // Without a buffer nobody can read it.
            return _sections.Count == 0;
        }

        _receiveBuffer.Write((uint)section * _sections.Size, message);
        return TryPost(Channel, [section], [(uint)message.Length], ControlChannel);
    }

    // Shows the driver what lies in parts of its receive buffer (struct vmtransfer_page_packet_header).
    private bool TryPost(VmBusChannel? channel, ReadOnlySpan<int> sections, ReadOnlySpan<uint> lengths, uint channelType)
    {
        const int RangeLength = 8;
        Span<byte> header = stackalloc byte[RangesStart + (MaximumParts * RangeLength)];
        Span<byte> message = stackalloc byte[MessageLength];
        header = header[..(RangesStart + (sections.Length * RangeLength))];
        header.Clear();
        message.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header, _receiveBufferId);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], sections.Length);
        for (int i = 0; i < sections.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(header[(RangesStart + (i * RangeLength))..], lengths[i]);
            BinaryPrimitives.WriteUInt32LittleEndian(header[(RangesStart + (i * RangeLength) + 4)..], (uint)sections[i] * _sections.Size);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)NvspMessage.SendRndisPacket);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], channelType);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], NoSection);
        if (channel?.TrySend(VmBusPacket.TransferPages, VmBusPacket.CompletionRequested, (ulong)sections[0] + 1, header, message) == true)
        {
            return true;
        }

        _sections.Release((ulong)sections[0]);
        return false;
    }

    private void ShowLink()
    {
        if (_linkWaits && Channel is not null)
        {
            Span<byte> message = stackalloc byte[RndisControl.AnswerLength];
            _linkWaits = !TryIndicate(message[.._control.IndicateLink(message)]);
        }
    }
}
