using System.Buffers.Binary;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>What a card does for its driver (NDIS_OFFLOAD): checksums of TCP and UDP, segmentation of TCP, and arriving segments as one (receive segment coalescing), for both versions of IP.</summary>
internal static class OffloadCapabilities
{
    private const byte OffloadObject = 0xa7;
    private const uint Version4 = 0x4_0000;
    private const uint Version5 = 0x5_0000;
    private const uint Ethernet = 2;
    private const uint TcpOptions = 0x04;
    private const uint Tcp = 0x10;
    private const uint Udp = 0x40;
    private const uint Extensions = 0x01;
    private const uint MaximumSegments = 65535;
    private const uint MinimumCount = 2;
    private const int Checksums = 4;
    private const int LargeSend = 80;
    private const int Coalescing = 144;

    /// <summary>Writes it in the revision of a version of the network protocol.</summary>
    /// <param name="value">Where it goes.</param>
    /// <param name="version">That version.</param>
    /// <param name="coalesces">Whether segments may arrive as one.</param>
    /// <returns>Its length.</returns>
    internal static int Write(Span<byte> value, uint version, bool coalesces)
    {
        (byte revision, int length) = version >= Version5 ? ((byte)3, 156) : version >= Version4 ? ((byte)2, 144) : ((byte)1, 112);
        value[..length].Clear();
        value[0] = OffloadObject;
        value[1] = revision;
        BinaryPrimitives.WriteUInt16LittleEndian(value[2..], (ushort)length);
        ReadOnlySpan<uint> checksums =
        [
            Ethernet, Tcp | TcpOptions | Udp | Extensions, Ethernet, Tcp | TcpOptions | Udp | Extensions,
            Ethernet, Tcp | TcpOptions | Udp | Extensions, Ethernet, Tcp | TcpOptions | Udp | Extensions,
        ];
        ReadOnlySpan<uint> segments = [Ethernet, MaximumSegments, MinimumCount, Ethernet, MaximumSegments, MinimumCount, TcpOptions | Extensions];
        Put(value[Checksums..], checksums);
        Put(value[LargeSend..], segments);
        if (coalesces && length > Coalescing)
        {
            (value[Coalescing], value[Coalescing + 1]) = (1, 1);
        }

        return length;
    }

    private static void Put(Span<byte> value, ReadOnlySpan<uint> words)
    {
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(value[(i * sizeof(uint))..], words[i]);
        }
    }
}
