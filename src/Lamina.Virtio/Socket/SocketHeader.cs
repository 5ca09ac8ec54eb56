using System.Buffers.Binary;

namespace Lamina.Virtio.Socket;

/// <summary><c>struct virtio_vsock_hdr</c> (virtio 1.2, section 5.10.6).</summary>
internal readonly record struct SocketHeader
{
    /// <summary>Bytes of it.</summary>
    public const int Size = 44;

    /// <summary>VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE.</summary>
    public const uint NoReceive = 1;

    /// <summary>VIRTIO_VSOCK_SHUTDOWN_F_SEND.</summary>
    public const uint NoSend = 2;

    /// <summary>VIRTIO_VSOCK_TYPE_STREAM.</summary>
    public const ushort Stream = 1;

    public ulong Source { get; init; }

    public ulong Destination { get; init; }

    public uint SourcePort { get; init; }

    public uint DestinationPort { get; init; }

    public uint Length { get; init; }

    public ushort Type { get; init; }

    public SocketOperation Operation { get; init; }

    public uint Flags { get; init; }

    /// <summary>How many bytes the sender keeps for a receiver that does not take them.</summary>
    public uint Allocated { get; init; }

    /// <summary>How many bytes of the connection the sender's receiver has taken, modulo 2^32.</summary>
    public uint Forwarded { get; init; }

    public static SocketHeader Read(ReadOnlySpan<byte> bytes) => new()
    {
        Source = BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        Destination = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        SourcePort = BinaryPrimitives.ReadUInt32LittleEndian(bytes[16..]),
        DestinationPort = BinaryPrimitives.ReadUInt32LittleEndian(bytes[20..]),
        Length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]),
        Type = BinaryPrimitives.ReadUInt16LittleEndian(bytes[28..]),
        Operation = (SocketOperation)BinaryPrimitives.ReadUInt16LittleEndian(bytes[30..]),
        Flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[32..]),
        Allocated = BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]),
        Forwarded = BinaryPrimitives.ReadUInt32LittleEndian(bytes[40..]),
    };

    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Source);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Destination);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], SourcePort);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[20..], DestinationPort);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[28..], Type);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[30..], (ushort)Operation);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[32..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[36..], Allocated);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[40..], Forwarded);
    }
}
