using System.Buffers.Binary;
using Lamina.Boot.Layout;

namespace Lamina.Boot.Multiboot;

/// <summary>
/// What a BIOS leaves in memory that a program which goes back to real mode may need: interrupt vectors, handlers that acknowledge hardware interrupts and count ticks, and a few fields of the
/// data area (IBM PC/AT technical reference). There are no services: software interrupts return.
/// </summary>
internal static class BiosMemory
{
    private const ulong DataArea = 0x400;
    private const int DataAreaSize = 0x100;
    private const int ExtendedDataSegmentOffset = 0x0e;
    private const int MemorySizeOffset = 0x13;
    private const ushort Segment = 0xf000;
    private const ushort TickHandler = 0xfea5;
    private const ushort Return = 0xff53;
    private const ushort PrimaryHandler = 0xff60;
    private const ushort SecondaryHandler = 0xff70;
    private const int VectorCount = 256;
    private const int PrimaryBase = 0x08;
    private const int SecondaryBase = 0x70;
    private const int LinesEach = 8;

    private static ReadOnlySpan<byte> Tick =>
    [
        0x1e, 0x50,                         // push ds; push ax
        0x31, 0xc0, 0x8e, 0xd8,             // xor ax, ax; mov ds, ax
        0x66, 0xff, 0x06, 0x6c, 0x04,       // inc dword [0x46c]
        0xb0, 0x20, 0xe6, 0x20,             // mov al, 0x20; out 0x20, al
        0x58, 0x1f, 0xcf,                   // pop ax; pop ds; iret
    ];

    private static ReadOnlySpan<byte> Primary => [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf];

    private static ReadOnlySpan<byte> Secondary => [0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf];

    /// <summary>Writes it: to 0 to 0x4ff, and to the reserved area below 1 MiB.</summary>
    internal static void Write(BootTarget target)
    {
        Span<byte> vectors = stackalloc byte[VectorCount * sizeof(uint)];
        for (int n = 0; n < VectorCount; n++)
        {
            bool primary = n is >= PrimaryBase and < PrimaryBase + LinesEach;
            bool secondary = n is >= SecondaryBase and < SecondaryBase + LinesEach;
            uint offset = n == PrimaryBase ? TickHandler : primary ? PrimaryHandler : secondary ? SecondaryHandler : Return;
            BinaryPrimitives.WriteUInt32LittleEndian(vectors[(n * sizeof(uint))..], ((uint)Segment << 16) | offset);
        }

        Span<byte> data = stackalloc byte[DataAreaSize];
        data.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(data[ExtendedDataSegmentOffset..], (ushort)(MachineLayout.ExtendedBiosData >> 4));
        BinaryPrimitives.WriteUInt16LittleEndian(data[MemorySizeOffset..], (ushort)(MachineLayout.ExtendedBiosData >> 10));
        target.Write(0, vectors);
        target.Write(DataArea, data);
        Put(TickHandler, Tick);
        Put(Return, [0xcf]);
        Put(PrimaryHandler, Primary);
        Put(SecondaryHandler, Secondary);

        void Put(ushort offset, ReadOnlySpan<byte> code) => target.Write(((ulong)Segment << 4) + offset, code);
    }
}
