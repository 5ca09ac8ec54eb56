using System.Buffers.Binary;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Makes and checks Ethernet frames with TCP.</summary>
internal static class Frames
{
    public const int HeaderLength = 14 + 20 + 20;

    /// <summary>A TCP frame over IPv4, as a driver hands it over for segmentation: the checksum is that of an empty pseudo-header.</summary>
    public static byte[] CreateTcp(int payload)
    {
        byte[] frame = new byte[HeaderLength + payload];
        frame.AsSpan(0, 12).Fill(2);
        frame[12] = 0x08;
        Span<byte> network = frame.AsSpan(14);
        network[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(network[2..], (ushort)(40 + payload));
        BinaryPrimitives.WriteUInt16BigEndian(network[4..], 100);
        network[8] = 64;
        network[9] = 6;
        new byte[] { 10, 0, 0, 1, 10, 0, 0, 2 }.CopyTo(network[12..]);
        Span<byte> transport = network[20..];
        BinaryPrimitives.WriteUInt32BigEndian(transport[4..], 0xffff_fff0);
        transport[12] = 5 << 4;
        transport[13] = 0x19;
        for (int i = 0; i < payload; i++)
        {
            transport[20 + i] = (byte)(i * 7);
        }

        return frame;
    }

    /// <summary>Whether the checksums of IP and TCP are right.</summary>
    public static bool HasRightChecksums(ReadOnlySpan<byte> frame)
    {
        if (!TcpFrame.TryParse(frame, out TcpFrame headers))
        {
            return false;
        }

        bool ip = InternetChecksum.Fold(InternetChecksum.Add(frame[headers.Network..headers.Transport], 0)) == 0xffff;
        uint pseudo = headers.SumPseudoHeader(frame, frame.Length - headers.Transport);
        return ip && InternetChecksum.Fold(InternetChecksum.Add(frame[headers.Transport..], pseudo)) == 0xffff
            && BinaryPrimitives.ReadUInt16BigEndian(frame[(headers.Network + 2)..]) == frame.Length - headers.Network;
    }
}
