using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.HyperV.Storage;

/// <summary>The pages that a packet names (struct vmdata_gpa_direct and struct gpa_range).</summary>
internal static class GpaRange
{
    private const int RangeCountOffset = 4;
    private const int RangeOffset = 8;
    private const int PagesOffset = 16;
    private const int PageShift = 12;
    private const uint PageSize = 1 << PageShift;
    private const ulong FrameMask = (1UL << 40) - 1;

    /// <summary>Collects them, each checked to be RAM; pages that follow each other are one piece.</summary>
    /// <returns><c>false</c> if they are not RAM, too few, or too many.</returns>
    internal static bool TryCollect(GuestMemory memory, in VmBusPacket packet, uint length, ScsiRequest request)
    {
        ReadOnlySpan<byte> header = packet.Header;
        if (packet.Type != VmBusPacket.GpaDirect)
        {
            return length == 0;
        }

        if (header.Length < PagesOffset || BinaryPrimitives.ReadUInt32LittleEndian(header[RangeCountOffset..]) != 1)
        {
            return false;
        }

        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(header[(RangeOffset + 4)..]);
        uint left = Math.Min(length, BinaryPrimitives.ReadUInt32LittleEndian(header[RangeOffset..]));
        ReadOnlySpan<byte> frames = header[PagesOffset..];
        if (offset >= PageSize || left < length)
        {
            return false;
        }

        ulong start = 0;
        uint piece = 0;
        while (left > 0)
        {
            if (frames.Length < sizeof(ulong))
            {
                return false;
            }

            ulong address = ((BinaryPrimitives.ReadUInt64LittleEndian(frames) & FrameMask) << PageShift) + offset;
            uint part = Math.Min(PageSize - offset, left);
            frames = frames[sizeof(ulong)..];
            offset = 0;
            left -= part;
            if (piece != 0 && start + piece == address)
            {
                piece += part;
                continue;
            }

            if (piece != 0 && !TryAdd(memory, request, start, piece))
            {
                return false;
            }

            (start, piece) = (address, part);
        }

        return piece == 0 || TryAdd(memory, request, start, piece);
    }

    private static bool TryAdd(GuestMemory memory, ScsiRequest request, ulong address, uint length)
    {
        nint host = memory.GetHostAddress(address, length);
        return host != 0 && request.TryAdd(new GuestBuffer(address, host, length));
    }
}
