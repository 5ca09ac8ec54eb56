using System.Buffers.Binary;

namespace Lamina.Personalities.Network;

/// <summary>Where the headers of a TCP frame are (IEEE 802.3 and 802.1Q, RFC 791, 8200, 9293).</summary>
/// <param name="IsIpv6">Or IPv4.</param>
/// <param name="Network">Offset of the IP header.</param>
/// <param name="Transport">Offset of the TCP header.</param>
/// <param name="Payload">Offset of the payload.</param>
internal readonly record struct TcpFrame(bool IsIpv6, int Network, int Transport, int Payload)
{
    /// <summary>Offset of the checksum in the TCP header.</summary>
    internal const int ChecksumOffset = 16;

    /// <summary>Most bytes of headers that are looked at.</summary>
    internal const int MaximumHeaders = 256;

    private const int AddressesLength = 12;
    private const int TagLength = 4;
    private const ushort Ipv4 = 0x0800;
    private const ushort Ipv6 = 0x86dd;
    private const ushort Tag = 0x8100;
    private const byte Tcp = 6;
    private const int Ipv6Length = 40;

    /// <summary>Reads the headers of a frame.</summary>
    /// <returns><c>false</c> if it is not TCP, or its headers are not whole.</returns>
    internal static bool TryParse(ReadOnlySpan<byte> frame, out TcpFrame result)
    {
        result = default;
        int at = AddressesLength;
        if (frame.Length >= at + 2 + TagLength && BinaryPrimitives.ReadUInt16BigEndian(frame[at..]) == Tag)
        {
            at += TagLength;
        }

        if (frame.Length < at + 2 + 20)
        {
            return false;
        }

        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame[at..]);
        int network = at + 2;
        bool isIpv6 = type == Ipv6;
        int transport = network + (isIpv6 ? Ipv6Length : (frame[network] & 15) * 4);
        bool known = isIpv6 ? frame[network + 6] == Tcp : type == Ipv4 && frame[network] >> 4 == 4 && (frame[network] & 15) >= 5 && frame[network + 9] == Tcp;
        if (!known || frame.Length < transport + 20)
        {
            return false;
        }

        int payload = transport + ((frame[transport + 12] >> 4) * 4);
        result = new TcpFrame(isIpv6, network, transport, payload);
        return payload >= transport + 20 && payload <= frame.Length;
    }

    /// <summary>The sum of the pseudo-header for a TCP header and payload of <paramref name="length"/> bytes.</summary>
    internal uint SumPseudoHeader(ReadOnlySpan<byte> frame, int length)
    {
        ReadOnlySpan<byte> addresses = IsIpv6 ? frame.Slice(Network + 8, 32) : frame.Slice(Network + 12, 8);
        return InternetChecksum.Fold(InternetChecksum.Add(addresses, (uint)(length & 0xffff) + (uint)(length >> 16) + Tcp));
    }
}
