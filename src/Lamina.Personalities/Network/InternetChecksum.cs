using System.Buffers.Binary;

namespace Lamina.Personalities.Network;

/// <summary>The checksum of IP, TCP and UDP (RFC 1071).</summary>
internal static class InternetChecksum
{
    /// <summary>Adds bytes to a sum that is not folded.</summary>
    internal static ulong Add(ReadOnlySpan<byte> bytes, ulong sum)
    {
        while (bytes.Length >= 4)
        {
            sum += BinaryPrimitives.ReadUInt32BigEndian(bytes);
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes);
            bytes = bytes[2..];
        }

        return bytes.IsEmpty ? sum : sum + ((uint)bytes[0] << 8);
    }

    /// <summary>Folds a sum into 16 bits.</summary>
    internal static uint Fold(ulong sum)
    {
        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (uint)sum;
    }

    /// <summary>Writes the checksum over bytes that hold the sum of the pseudo-header in its place.</summary>
    internal static void Complete(Span<byte> bytes, int offset)
    {
        // Zero would say that there is none; the other zero is as good.
        ushort value = (ushort)~Fold(Add(bytes, 0));
        BinaryPrimitives.WriteUInt16BigEndian(bytes[offset..], value == 0 ? ushort.MaxValue : value);
    }
}
