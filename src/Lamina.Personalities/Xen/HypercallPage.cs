using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>The page through which guests call: 32 bytes for each hypercall. It is the guest's own page, with code in it that calls directly, as guests may do themselves.</summary>
internal static class HypercallPage
{
    private const int EntryLength = 32;

    /// <summary>Writes it.</summary>
    /// <returns><c>false</c> if it is not RAM.</returns>
    internal static bool TryWrite(GuestMemory memory, ulong address)
    {
        const int NumberOffset = 1;
        ReadOnlySpan<byte> call = [0xb8, 0, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3];
        ReadOnlySpan<byte> undefined = [0x0f, 0x0b];
        Span<byte> page = stackalloc byte[GuestMemory.PageSize];
        page.Fill(0xcc);
        for (int i = 0; i < GuestMemory.PageSize / EntryLength; i++)
        {
            Span<byte> entry = page[(i * EntryLength)..];
            if ((Hypercall)i == Hypercall.Iret)
            {
                undefined.CopyTo(entry);
                continue;
            }

            call.CopyTo(entry);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[NumberOffset..], (uint)i);
        }

        return memory.TryWrite(address, page);
    }
}
