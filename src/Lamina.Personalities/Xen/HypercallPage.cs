using System.Buffers.Binary;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen;

/// <summary>
/// The page through which guests call: 32 bytes for each hypercall. It is the guest's own page, with code in it. The entry of sched_op says by a bit of the number that it can wait: it executes
/// HLT when it is told so, and asks again.
/// </summary>
internal static class HypercallPage
{
    /// <summary>In the number of a call: what answers <see cref="Wait"/> is to be asked again after a HLT.</summary>
    internal const uint CanWait = 0x8000_0000;

    /// <summary>The answer.</summary>
    internal const long Wait = 1;

    private const int EntryLength = 32;

    /// <summary>Writes it.</summary>
    /// <returns><c>false</c> if it is not RAM.</returns>
    internal static bool TryWrite(GuestMemory memory, ulong address)
    {
        const int NumberOffset = 1;
        ReadOnlySpan<byte> plain = [0xb8, 0, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3];
        ReadOnlySpan<byte> waiting = [0xb8, 0, 0, 0, 0, 0x0f, 0x01, 0xc1, 0x83, 0xf8, (byte)Wait, 0x75, 0x03, 0xf4, 0xeb, 0xf0, 0xc3];
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

            bool waits = (Hypercall)i == Hypercall.SchedOp;
            (waits ? waiting : plain).CopyTo(entry);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[NumberOffset..], (uint)i | (waits ? CanWait : 0));
        }

        return memory.TryWrite(address, page);
    }
}
