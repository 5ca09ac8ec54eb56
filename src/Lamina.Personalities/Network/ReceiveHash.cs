using System.Buffers.Binary;

namespace Lamina.Personalities.Network;

/// <summary>
/// The hash by which a card spreads connections over queues (Microsoft, "RSS hashing types"; Toeplitz): of both addresses, and of both ports where it is TCP. With a key, the table of what each byte of the input
/// adds is made once.
/// </summary>
internal sealed class ReceiveHash
{
    /// <summary>Bytes of a key.</summary>
    internal const int KeyLength = 40;

    private const int MaximumInput = 36;
    private const int EthernetHeader = 14;
    private const int TagLength = 4;
    private const ushort TypeIp4 = 0x0800;
    private const ushort TypeIp6 = 0x86dd;
    private const ushort TypeTag = 0x8100;
    private const byte Tcp = 6;
    private readonly uint[] _table = new uint[MaximumInput * 256];

    /// <summary>Takes a key.</summary>
    internal void SetKey(ReadOnlySpan<byte> key)
    {
        Span<uint> windows = stackalloc uint[8];
        for (int position = 0; position < MaximumInput; position++)
        {
            ulong bits = BinaryPrimitives.ReadUInt32BigEndian(key[position..]);
            bits = (bits << 8) | key[position + sizeof(uint)];
            for (int bit = 0; bit < windows.Length; bit++)
            {
                windows[bit] = (uint)(bits >> (8 - bit));
            }

            for (int value = 0; value < 256; value++)
            {
                uint sum = 0;
                for (int bit = 0; bit < windows.Length; bit++)
                {
                    sum ^= (value & (0x80 >> bit)) != 0 ? windows[bit] : 0;
                }

                _table[(position * 256) + value] = sum;
            }
        }
    }

    /// <summary>Computes a frame's hash.</summary>
    /// <param name="frame">The frame, from its Ethernet header on.</param>
    /// <param name="kinds">What it may be made of.</param>
    /// <param name="hash">The hash.</param>
    /// <returns>What it is made of; nothing if the frame is no whole packet of IP's, or of another kind.</returns>
    internal HashKinds Compute(ReadOnlySpan<byte> frame, HashKinds kinds, out uint hash)
    {
        const int Addresses4 = 12;
        const int Addresses6 = 8;
        const int Header4 = 20;
        const int Header6 = 40;
        hash = 0;
        int start = EthernetHeader;
        ushort type = frame.Length >= start ? BinaryPrimitives.ReadUInt16BigEndian(frame[(start - 2)..]) : (ushort)0;
        if (type == TypeTag && frame.Length >= start + TagLength)
        {
            start += TagLength;
            type = BinaryPrimitives.ReadUInt16BigEndian(frame[(start - 2)..]);
        }

        ReadOnlySpan<byte> packet = frame[Math.Min(start, frame.Length)..];
        if (type == TypeIp4 && packet.Length >= Header4)
        {
            int length = (packet[0] & 15) * 4;
            bool whole = (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3fff) == 0;
            bool withPorts = (kinds & HashKinds.Tcp4) != 0 && whole && packet[9] == Tcp && length >= Header4 && packet.Length >= length + 4;
            if (!withPorts && (kinds & HashKinds.Ip4) == 0)
            {
                return HashKinds.None;
            }

            hash = Add(packet.Slice(Addresses4, 8), 0) ^ (withPorts ? Add(packet.Slice(length, 4), 8) : 0);
            return withPorts ? HashKinds.Tcp4 : HashKinds.Ip4;
        }

        if (type == TypeIp6 && packet.Length >= Header6)
        {
            bool withPorts = (kinds & HashKinds.Tcp6) != 0 && packet[6] == Tcp && packet.Length >= Header6 + 4;
            if (!withPorts && (kinds & HashKinds.Ip6) == 0)
            {
                return HashKinds.None;
            }

            hash = Add(packet.Slice(Addresses6, 32), 0) ^ (withPorts ? Add(packet.Slice(Header6, 4), 32) : 0);
            return withPorts ? HashKinds.Tcp6 : HashKinds.Ip6;
        }

        return HashKinds.None;
    }

    private uint Add(ReadOnlySpan<byte> input, int position)
    {
        uint sum = 0;
        for (int i = 0; i < input.Length; i++)
        {
            sum ^= _table[((position + i) * 256) + input[i]];
        }

        return sum;
    }
}
