using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>The pages that a packet names (struct vmdata_gpa_direct and struct gpa_range), from a copy of it.</summary>
internal static class GpaRange
{
    private const int RangeCountOffset = 4;
    private const int FirstRange = 8;
    private const int PagesOffset = 8;
    private const int PageShift = 12;
    private const uint PageSize = 1 << PageShift;
    private const ulong FrameMask = (1UL << 40) - 1;

    /// <summary>Collects the pieces of all ranges, each checked to be RAM; pages of a range that follow each other are one piece.</summary>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="packet">The packet.</param>
    /// <param name="length">Bytes that are wanted at most.</param>
    /// <param name="pieces">Where the pieces go.</param>
    /// <param name="count">How many there are.</param>
    /// <returns><c>false</c> if they are not RAM, their list is not whole, they are too many, or longer than that.</returns>
    internal static bool TryCollect(GuestMemory memory, in VmBusPacket packet, uint length, Span<GuestBuffer> pieces, ref int count)
    {
        if (packet.Type != VmBusPacket.GpaDirect)
        {
            return true;
        }

        ReadOnlySpan<byte> header = packet.Header;
        if (header.Length < FirstRange)
        {
            return false;
        }

        uint ranges = BinaryPrimitives.ReadUInt32LittleEndian(header[RangeCountOffset..]);
        header = header[FirstRange..];
        for (uint i = 0; i < ranges; i++)
        {
            if (!TryCollectRange(memory, ref header, ref length, pieces, ref count))
            {
                return false;
            }
        }

        return true;
    }

    private static bool TryCollectRange(GuestMemory memory, ref ReadOnlySpan<byte> header, ref uint length, Span<GuestBuffer> pieces, ref int count)
    {
        if (header.Length < PagesOffset)
        {
            return false;
        }

        uint left = BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        header = header[PagesOffset..];
        if (left > length || offset >= PageSize)
        {
            return false;
        }

        length -= left;
        ulong start = 0;
        uint piece = 0;
        while (left > 0)
        {
            if (header.Length < sizeof(ulong))
            {
                return false;
            }

            ulong address = ((BinaryPrimitives.ReadUInt64LittleEndian(header) & FrameMask) << PageShift) + offset;
            uint part = Math.Min(PageSize - offset, left);
            header = header[sizeof(ulong)..];
            offset = 0;
            left -= part;
            if (piece != 0 && start + piece == address)
            {
                piece += part;
                continue;
            }

            if (piece != 0 && !GuestBuffers.TryAdd(memory, pieces, ref count, start, piece))
            {
                return false;
            }

            (start, piece) = (address, part);
        }

        return piece == 0 || GuestBuffers.TryAdd(memory, pieces, ref count, start, piece);
    }
}
