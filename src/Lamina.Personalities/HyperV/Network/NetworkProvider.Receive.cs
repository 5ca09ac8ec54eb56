using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.HyperV.Network;

/// <content>Packets and messages for the driver.</content>
public sealed partial class NetworkProvider
{
    private const uint RndisHeader = 8;
    private const int ElementLength = PacketInformation.ElementHeader + sizeof(uint);
    private const int FrameStart = PacketHeader + ElementLength;

    // Parts of the receive buffer that are kept for answers.
    private const int ControlReserve = 8;
    private const ushort ReceiveBufferId = 0xcafe;
    private const uint TcpChecksumSucceeded = 1 << 3;
    private const uint UdpChecksumSucceeded = 1 << 4;

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        _bus.Gate.Enter();
        ReadOnlySpan<byte> frame = packet.Length < INetworkBackend.HeaderLength ? [] : packet[INetworkBackend.HeaderLength..];
        bool taken = _bus.IsStopped || Channel is null || !_control.Wants(frame) || _sections.Size < FrameStart + (uint)frame.Length || Deliver(packet, frame);
        _receiverWaits |= !taken;
        _bus.Gate.Exit();
        return taken;
    }

    private bool Deliver(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        if (!_sections.TryTake(ControlReserve, out int section))
        {
            return false;
        }

        const byte NeedsChecksum = 1;
        const byte IsValid = 2;
        uint at = (uint)section * _sections.Size;
        int start = BinaryPrimitives.ReadUInt16LittleEndian(header[6..]);
        int offset = BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
        _receiveBuffer.Write(at + FrameStart, frame);
        bool good = true;
        if ((header[0] & NeedsChecksum) == 0)
        {
            good = TransportChecksum.TryCheck(frame, out offset, (header[0] & IsValid) != 0);
        }
        else if (start + offset + sizeof(ushort) <= frame.Length)
        {
            // The sum of the pseudo-header is in its place.
            ushort sum = (ushort)~InternetChecksum.Fold(InternetChecksum.Add(frame[start..], 0));
            Span<byte> checksum = stackalloc byte[sizeof(ushort)];
            BinaryPrimitives.WriteUInt16BigEndian(checksum, sum == 0 ? ushort.MaxValue : sum);
            _receiveBuffer.Write(at + (uint)(FrameStart + start + offset), checksum);
        }

        Span<byte> message = stackalloc byte[FrameStart];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)RndisMessageType.Packet);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], FrameStart + frame.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], FrameStart - RndisHeader);
        BinaryPrimitives.WriteInt32LittleEndian(message[12..], frame.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[28..], PacketHeader - RndisHeader);
        BinaryPrimitives.WriteUInt32LittleEndian(message[32..], ElementLength);
        Span<byte> element = message[PacketHeader..];
        BinaryPrimitives.WriteInt32LittleEndian(element, ElementLength);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], PacketInformation.Checksum);
        BinaryPrimitives.WriteInt32LittleEndian(element[8..], PacketInformation.ElementHeader);
        BinaryPrimitives.WriteUInt32LittleEndian(
            element[PacketInformation.ElementHeader..], !good ? 0 : offset == TcpFrame.ChecksumOffset ? TcpChecksumSucceeded : UdpChecksumSucceeded);
        _receiveBuffer.Write(at, message);
        return TryPost(_channels[_control.Scaling.Select(frame)] ?? Channel, section, (uint)(FrameStart + frame.Length), DataChannel);
    }

    private bool TryIndicate(ReadOnlySpan<byte> message)
    {
        if (!_sections.TryTake(0, out int section))
        {
            // Without a buffer nobody can read it.
            return _sections.Count == 0;
        }

        _receiveBuffer.Write((uint)section * _sections.Size, message);
        return TryPost(Channel, section, (uint)message.Length, ControlChannel);
    }

    // Shows the driver what lies in a part of its receive buffer (struct vmtransfer_page_packet_header).
    private bool TryPost(VmBusChannel? channel, int section, uint length, uint channelType)
    {
        Span<byte> header = stackalloc byte[16];
        Span<byte> message = stackalloc byte[MessageLength];
        header.Clear();
        message.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header, ReceiveBufferId);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], (uint)section * _sections.Size);
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)NvspMessage.SendRndisPacket);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], channelType);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], NoSection);
        if (channel?.TrySend(VmBusPacket.TransferPages, VmBusPacket.CompletionRequested, (ulong)section + 1, header, message) == true)
        {
            return true;
        }

        _sections.Release((ulong)section);
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
