using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>The data of a request: one range, or lists of ranges (struct PVSCSISGElement) that may lead to further lists.</summary>
internal static class PvscsiScatterList
{
    private const int ElementLength = 16;
    private const uint ChainFlag = 1;

    // A list that leads to itself ends here.
    private const int MaximumElements = ScsiRequest.MaximumBuffers + 8;

    /// <summary>Collects the ranges, each checked to be RAM.</summary>
    /// <returns><c>false</c> if it is not, or there are too many.</returns>
    internal static bool TryCollect(GuestMemory memory, PvscsiRequest descriptor, ScsiRequest request)
    {
        ulong left = descriptor.DataLength;
        if (left == 0)
        {
            return true;
        }

        if (!descriptor.HasList)
        {
            return left <= uint.MaxValue && request.TryAdd(memory, descriptor.DataAddress, (uint)left);
        }

        ulong address = descriptor.DataAddress;
        Span<byte> element = stackalloc byte[ElementLength];
        for (int i = 0; i < MaximumElements && left > 0; i++)
        {
            if (!memory.TryRead(address, element))
            {
                return false;
            }

            ulong target = BinaryPrimitives.ReadUInt64LittleEndian(element);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(element[8..]);
            if ((BinaryPrimitives.ReadUInt32LittleEndian(element[12..]) & ChainFlag) != 0)
            {
                address = target;
                continue;
            }

            address += ElementLength;
            length = (uint)Math.Min(length, left);
            left -= length;
            if (length != 0 && !request.TryAdd(memory, target, length))
            {
                return false;
            }
        }

        return left == 0;
    }
}
