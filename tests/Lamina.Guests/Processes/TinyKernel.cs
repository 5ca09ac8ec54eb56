using System.Buffers.Binary;

namespace Lamina.Guests.Processes;

/// <summary>Makes ELF kernels of a few instructions, entered by PVH in 32-bit protected mode without paging.</summary>
internal static class TinyKernel
{
    private const int LoadAddress = 0x100000;
    private const int HeaderLength = 52 + (2 * 32);
    private const int NoteLength = 20;

    /// <summary>hlt; jmp.</summary>
    public static ReadOnlySpan<byte> Halt => [0xfa, 0xf4, 0xeb, 0xfd];

    /// <summary>Loads an empty interrupt table and takes a breakpoint: a triple fault.</summary>
    public static ReadOnlySpan<byte> TripleFault => [0x6a, 0x00, 0x6a, 0x00, 0x0f, 0x01, 0x1c, 0x24, 0xcc, 0xf4];

    /// <summary>
    /// Asserts RTS and writes "&gt;" to the first serial port, then sends each byte from it back with 1 added:
    /// mov dx, 3fdh; l: in al, dx; test al, 1; jz l; mov dx, 3f8h; in al, dx; inc al; out dx, al; jmp.
    /// </summary>
    public static ReadOnlySpan<byte> Echo =>
    [
        0x66, 0xba, 0xfc, 0x03, 0xb0, 0x03, 0xee, 0x66, 0xba, 0xf8, 0x03, 0xb0, 0x3e, 0xee,
        0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb,
        0x66, 0xba, 0xf8, 0x03, 0xec, 0xfe, 0xc0, 0xee, 0xeb, 0xed,
    ];

    /// <summary>Writes to the first serial port without end.</summary>
    public static ReadOnlySpan<byte> Flood => [0x66, 0xba, 0xf8, 0x03, 0xb0, 0x2e, 0xee, 0xeb, 0xfd];

    /// <summary>Builds the file.</summary>
    public static byte[] Build(ReadOnlySpan<byte> code)
    {
        byte[] file = new byte[HeaderLength + NoteLength + code.Length + 4096];
        int entry = LoadAddress + HeaderLength + NoteLength;
        new byte[] { 0x7f, (byte)'E', (byte)'L', (byte)'F', 1, 1, 1 }.CopyTo(file, 0);
        Half(16, 2);
        Half(18, 3);
        Word(20, 1);
        Word(24, entry);
        Word(28, 52);
        Half(40, 52);
        Half(42, 32);
        Half(44, 2);

        // PT_LOAD of the whole file, then PT_NOTE with XEN_ELFNOTE_PHYS32_ENTRY.
        int[] load = [1, 0, LoadAddress, LoadAddress, file.Length, file.Length, 7, 4096];
        int[] note = [4, HeaderLength, LoadAddress + HeaderLength, LoadAddress + HeaderLength, NoteLength, NoteLength, 4, 4];
        for (int i = 0; i < 8; i++)
        {
            Word(52 + (4 * i), load[i]);
            Word(84 + (4 * i), note[i]);
        }

        Word(HeaderLength, 4);
        Word(HeaderLength + 4, 4);
        Word(HeaderLength + 8, 18);
        "Xen\0"u8.CopyTo(file.AsSpan(HeaderLength + 12));
        Word(HeaderLength + 16, entry);
        code.CopyTo(file.AsSpan(HeaderLength + NoteLength));
        return file;

        void Half(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(offset), value);

        void Word(int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(offset), value);
    }
}
