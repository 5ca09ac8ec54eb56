using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Xen;

/// <summary>The page through which guests call: 32 bytes for each hypercall. It is the guest's own page, with code in it that calls by <see cref="HypercallPort"/>; guests may also call directly.</summary>
internal static class HypercallPage
{
    private const int EntryLength = 32;

    /// <summary>Writes it.</summary>
    /// <returns><c>false</c> if it is not RAM.</returns>
    internal static bool TryWrite(GuestMemory memory, ulong address)
    {
        const int NumberOffset = 1;
        ReadOnlySpan<byte> instruction = HypercallPort.Instruction;
        ReadOnlySpan<byte> call = [0xb8, 0, 0, 0, 0, instruction[0], instruction[1], instruction[2], 0xc3];
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
