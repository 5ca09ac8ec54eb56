using System.Buffers.Binary;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>A control packet of a socket, in a datagram (struct vmci_transport_packet). What is sent lies in a queue pair.</summary>
/// <param name="Type">What it says.</param>
/// <param name="Protocol">Ways in which both ends tell each other of bytes, a bit each.</param>
/// <param name="SourcePort">The sender's port.</param>
/// <param name="DestinationPort">The receiver's.</param>
/// <param name="Value">A length, the directions that end, or a handle.</param>
internal readonly record struct SocketPacket(SocketPacketType Type, ushort Protocol, uint SourcePort, uint DestinationPort, ulong Value)
{
    /// <summary>Bytes of it with the datagram's header.</summary>
    internal const int Length = VmciDatagram.HeaderLength + Payload;

    /// <summary>The resource to which these go, on both sides.</summary>
    internal const uint Resource = 1;

    /// <summary>Whoever writes into an empty queue says so, and whoever reads from a full one.</summary>
    internal const ushort QueueStateProtocol = 1;

    /// <summary>The sender of a shutdown does not receive any more.</summary>
    internal const ulong NoReceive = 1;

    /// <summary>It does not send any more.</summary>
    internal const ulong NoSend = 2;

    private const int Payload = 32;
    private const byte Version = 1;

    /// <summary>The value, as the name of a queue pair.</summary>
    internal VmciHandle Handle => new((uint)Value, (uint)(Value >> 32));

    internal static ulong ToValue(VmciHandle handle) => handle.Context | ((ulong)handle.Resource << 32);

    internal static SocketPacket Read(ReadOnlySpan<byte> datagram)
    {
        ReadOnlySpan<byte> bytes = datagram[VmciDatagram.HeaderLength..];
        return new SocketPacket(
            (SocketPacketType)bytes[1],
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));
    }

    /// <summary>Writes it as a datagram from the host.</summary>
    /// <returns>Bytes of it.</returns>
    internal int Write(Span<byte> datagram, uint guest)
    {
        new VmciDatagram(new VmciHandle(guest, Resource), new VmciHandle(VmciHandle.Host, Resource), Payload).Write(datagram);
        Span<byte> bytes = datagram.Slice(VmciDatagram.HeaderLength, Payload);
        bytes.Clear();
        bytes[0] = Version;
        bytes[1] = (byte)Type;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], Protocol);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], SourcePort);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], DestinationPort);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Value);
        return Length;
    }
}
