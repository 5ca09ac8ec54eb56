using System.Buffers.Binary;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>The header of a datagram (struct vmci_datagram), and the events that the hypervisor tells a guest of by one (struct vmci_event_data).</summary>
internal readonly record struct VmciDatagram(VmciHandle Destination, VmciHandle Source, ulong PayloadLength)
{
    /// <summary>Bytes of the header.</summary>
    internal const int HeaderLength = 24;

    /// <summary>The longest that the device sends.</summary>
    internal const int MaximumLength = SocketPacket.Length;

    /// <summary>Queue pairs are no longer what they were, because the guest goes on elsewhere.</summary>
    internal const uint QueuePairsResumed = 2;

    /// <summary>The other end of a queue pair has come.</summary>
    internal const uint PeerAttached = 3;

    /// <summary>The other end of a queue pair has gone.</summary>
    internal const uint PeerDetached = 4;

    private const uint EventHandler = 0;
    private const int EventPayload = 24;

    internal static VmciDatagram Read(ReadOnlySpan<byte> bytes) =>
        new(VmciHandle.Read(bytes), VmciHandle.Read(bytes[VmciHandle.Length..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[(2 * VmciHandle.Length)..]));

    /// <summary>Writes an event of a queue pair with the host.</summary>
    /// <returns>Bytes of it.</returns>
    internal static int WriteEvent(Span<byte> bytes, uint guest, uint happened, VmciHandle queues)
    {
        new VmciDatagram(new VmciHandle(guest, EventHandler), new VmciHandle(VmciHandle.Hypervisor, 0), EventPayload).Write(bytes);
        Span<byte> payload = bytes[HeaderLength..];
        payload[..EventPayload].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(payload, happened);
        queues.Write(payload[8..]);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[16..], VmciHandle.Host);
        return HeaderLength + EventPayload;
    }

    internal void Write(Span<byte> bytes)
    {
        Destination.Write(bytes);
        Source.Write(bytes[VmciHandle.Length..]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[(2 * VmciHandle.Length)..], PayloadLength);
    }
}
