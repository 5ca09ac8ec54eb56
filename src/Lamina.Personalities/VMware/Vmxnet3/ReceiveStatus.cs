using System.Buffers.Binary;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>What a completion says of an arrived frame: that its checksums are right, and of how many segments the wire has made it.</summary>
/// <param name="Bits">Bits of the completion's last word; 0 if its checksums were not looked at, or are wrong.</param>
/// <param name="SegmentSize">Payload of its segments; 0 if it is one.</param>
/// <param name="SegmentCount">How many they were, or as many as can be said.</param>
internal readonly record struct ReceiveStatus(uint Bits, ushort SegmentSize, byte SegmentCount)
{
    /// <summary>The hash by which its queue was chosen.</summary>
    internal uint Hash { get; init; }

    /// <summary>What that is made of.</summary>
    internal HashKinds HashKind { get; init; }

    /// <summary>The tag that was taken out of it; null if there was none.</summary>
    internal ushort? Tag { get; init; }

    private const uint TransportCorrect = 1 << 16;
    private const uint Udp = 1 << 17;
    private const uint Tcp = 1 << 18;
    private const uint NetworkCorrect = 1 << 19;
    private const uint Ipv6 = 1 << 20;
    private const uint Ipv4 = 1 << 21;

    /// <summary>Looks at a frame.</summary>
    /// <param name="arrived">What is known of it.</param>
    /// <param name="frame">The frame.</param>
    /// <param name="checksums">The driver wants to be told of checksums.</param>
    /// <param name="segments">It takes many segments as one frame.</param>
    /// <param name="status">What to say.</param>
    /// <returns><c>false</c> if it is of segments that cannot be shown to the driver as such.</returns>
    internal static bool TryRead(in ArrivedFrame arrived, ReadOnlySpan<byte> frame, bool checksums, bool segments, out ReceiveStatus status)
    {
        status = default;
        if (checksums && arrived.IsGood && IsNetworkCorrect(frame, out bool ipv4))
        {
            status = new ReceiveStatus(TransportCorrect | (arrived.IsTcp ? Tcp : Udp) | (ipv4 ? Ipv4 | NetworkCorrect : Ipv6), 0, 0);
        }

        if (!arrived.IsSegmented)
        {
            return true;
        }

        int segment = arrived.SegmentSize;
        if (!segments || segment == 0 || (status.Bits & Tcp) == 0 || !TcpFrame.TryParse(frame, out TcpFrame headers))
        {
            return false;
        }

        int count = (frame.Length - headers.Payload + segment - 1) / segment;
        status = count < 2 ? status : status with { SegmentSize = arrived.SegmentSize, SegmentCount = (byte)Math.Min(count, byte.MaxValue) };
        return true;
    }

    // After the frame was found to be one of IP's. The header of IPv6 has no checksum.
    private static bool IsNetworkCorrect(ReadOnlySpan<byte> frame, out bool ipv4)
    {
        const int TypeOffset = 12;
        const int TagLength = 4;
        const ushort Tagged = 0x8100;
        const ushort Ipv4Type = 0x0800;
        int at = TypeOffset + (BinaryPrimitives.ReadUInt16BigEndian(frame[TypeOffset..]) == Tagged ? TagLength : 0);
        ipv4 = BinaryPrimitives.ReadUInt16BigEndian(frame[at..]) == Ipv4Type;
        ReadOnlySpan<byte> packet = frame[(at + sizeof(ushort))..];
        int length = (packet[0] & 15) * 4;
        return !ipv4 || (length <= packet.Length && InternetChecksum.Fold(InternetChecksum.Add(packet[..length], 0)) == ushort.MaxValue);
    }
}
