using System.Buffers.Binary;

namespace Lamina.Personalities.Network;

/// <summary>Finds the checksum of TCP or UDP in a frame, for guests that say that it is to be made and not where it is.</summary>
internal static class TransportChecksum
{
    /// <summary>Bytes of a frame that are looked at: Ethernet with a tag, and the longest header of IPv4.</summary>
    internal const int HeadLength = 18 + 60;

    private const int TagLength = 4;
    private const byte Tcp = 6;
    private const byte Udp = 17;

    /// <summary>Finds it.</summary>
    /// <param name="head">The frame's first bytes.</param>
    /// <param name="offload">Where it is.</param>
    /// <returns><c>false</c> if there is none.</returns>
    internal static bool TryLocate(ReadOnlySpan<byte> head, out PacketOffload offload)
    {
        const int TypeOffset = 12;
        const ushort Tagged = 0x8100;
        const ushort Ipv4 = 0x0800;
        const ushort Ipv6 = 0x86dd;
        const int Ipv6Header = 40;
        offload = default;
        int network = TypeOffset + 2;
        if (head.Length >= network && BinaryPrimitives.ReadUInt16BigEndian(head[TypeOffset..]) == Tagged)
        {
            network += TagLength;
        }

        if (head.Length < network + 20)
        {
            return false;
        }

        ReadOnlySpan<byte> ip = head[network..];
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(head[(network - 2)..]);
        byte protocol = type == Ipv4 ? ip[9] : type == Ipv6 ? ip[6] : (byte)0;
        int start = network + (type == Ipv4 ? (ip[0] & 15) * 4 : Ipv6Header);
        if (start < network + 20 || protocol is not (Tcp or Udp))
        {
            return false;
        }

        offload = new PacketOffload(start, protocol == Tcp ? 16 : 6, 0);
        return true;
    }

    /// <summary>Whether a frame has the right checksum of TCP or UDP.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="offset">Where in the header of TCP or UDP it is.</param>
    /// <param name="isKnownGood">Somebody else has looked already.</param>
    /// <returns><c>false</c> if it is wrong, if there is none, or if the frame is a fragment.</returns>
    internal static bool TryCheck(ReadOnlySpan<byte> frame, out int offset, bool isKnownGood)
    {
        bool located = TryLocate(frame[..Math.Min(frame.Length, HeadLength)], out PacketOffload place);
        offset = place.ChecksumOffset;
        if (!located || isKnownGood)
        {
            return located;
        }

        const int Ipv6Header = 40;
        bool ipv4 = frame[12] == 0x08 ? frame[13] == 0 : frame[12] == 0x81 && frame[16] == 0x08;
        int network = frame[12] == 0x81 ? 18 : 14;
        ReadOnlySpan<byte> ip = frame[network..];
        int header = place.ChecksumStart - network;
        int length = ipv4 ? BinaryPrimitives.ReadUInt16BigEndian(ip[2..]) - header : BinaryPrimitives.ReadUInt16BigEndian(ip[4..]) + Ipv6Header - header;
        const int FragmentMask = 0x3fff;
        if (length < offset + sizeof(ushort) || length > ip.Length - header || (ipv4 && (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & FragmentMask) != 0))
        {
            return false;
        }

        ReadOnlySpan<byte> segment = ip.Slice(header, length);
        if (BinaryPrimitives.ReadUInt16BigEndian(segment[offset..]) == 0)
        {
            return false;
        }

        ulong sum = (uint)length + (ulong)(ipv4 ? ip[9] : ip[6]);
        sum = InternetChecksum.Add(ipv4 ? ip.Slice(12, 8) : ip.Slice(8, 32), sum);
        return InternetChecksum.Fold(InternetChecksum.Add(segment, sum)) == ushort.MaxValue;
    }
}
