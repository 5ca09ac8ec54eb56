using System.Buffers.Binary;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>What a packet has beside its frame (struct rndis_per_packet_info): work that is left to the card, and a tag.</summary>
/// <param name="Offload">The work.</param>
/// <param name="Tag">The 802.1Q tag; null for none.</param>
/// <param name="FindsChecksum">A checksum is to be made, and where is not said.</param>
internal readonly record struct PacketInformation(PacketOffload Offload, ushort? Tag, bool FindsChecksum)
{
    /// <summary>Most bytes of it that are looked at.</summary>
    internal const int MaximumLength = 256;

    /// <summary>Bytes before the value of an element.</summary>
    internal const int ElementHeader = 12;

    /// <summary>The element with what is known of checksums.</summary>
    internal const uint Checksum = 0;

    /// <summary>The element of a part of a frame (RNDIS_PKTINFO_ID, which is an internal one).</summary>
    internal const uint FramePart = 1 | (1u << 31);

    private const uint LargeSend = 2;
    private const uint VlanTag = 6;
    private const uint WantsTcp = 1 << 2;
    private const uint WantsUdp = 1 << 3;
    private const int TcpChecksum = 16;
    private const int UdpChecksum = 6;

    /// <summary>Reads the elements of a copy.</summary>
    /// <returns><c>false</c> if their lengths cannot be.</returns>
    internal static bool TryParse(ReadOnlySpan<byte> elements, out PacketInformation result)
    {
        result = default;
        while (!elements.IsEmpty)
        {
            if (elements.Length < ElementHeader)
            {
                return false;
            }

            uint size = BinaryPrimitives.ReadUInt32LittleEndian(elements);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(elements[4..]);
            uint offset = BinaryPrimitives.ReadUInt32LittleEndian(elements[8..]);
            if (size < ElementHeader || size > (uint)elements.Length || offset < ElementHeader || offset > size)
            {
                return false;
            }

            ReadOnlySpan<byte> value = elements[(int)offset..(int)size];
            if (value.Length >= sizeof(uint))
            {
                result = result.Add(type, BinaryPrimitives.ReadUInt32LittleEndian(value));
            }

            elements = elements[(int)size..];
        }

        return true;
    }

    private PacketInformation Add(uint type, uint value)
    {
        int start = (int)(value >> 16) & 0x3ff;
        bool udp = (value & WantsUdp) != 0;
        return type switch
        {
            LargeSend => this with { Offload = new PacketOffload(0, 0, (int)(value & 0xf_ffff)) },
            Checksum when Offload.SegmentSize == 0 && (value & (WantsTcp | WantsUdp)) != 0 =>
                this with { Offload = start == 0 ? default : new PacketOffload(start, udp ? UdpChecksum : TcpChecksum, 0), FindsChecksum = start == 0 },
            VlanTag => this with { Tag = (ushort)(((value & 7) << 13) | ((value & 8) << 9) | ((value >> 4) & 0xfff)) },
            _ => this,
        };
    }
}
