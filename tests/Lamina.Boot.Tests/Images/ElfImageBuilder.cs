using System.Buffers.Binary;

namespace Lamina.Boot.Tests.Images;

/// <summary>Makes an ELF executable with one loadable segment and one note segment.</summary>
internal static class ElfImageBuilder
{
    public const int CodeOffset = 0x1000;
    public const int NoteOffset = 0x200;

    public static byte[] Create(ReadOnlySpan<byte> code, ulong address = 0x10_0000, uint? entry = null, uint clearedLength = 0, bool is64 = true, bool withNote = true)
    {
        byte[] bytes = new byte[CodeOffset + code.Length];
        "\u007fELF"u8.CopyTo(bytes);
        bytes[4] = (byte)(is64 ? 2 : 1);
        bytes[5] = 1;
        Put16(bytes, 16, 2);
        Put16(bytes, 18, (ushort)(is64 ? 62 : 3));
        byte[] note = CreateNote(entry ?? (uint)address, withNote ? 18u : 17u);
        note.CopyTo(bytes, NoteOffset);
        ulong memoryLength = (ulong)code.Length + clearedLength;
        if (is64)
        {
            Put64(bytes, 32, 64);
            Put16(bytes, 54, 56);
            Put16(bytes, 56, 2);
            PutHeader64(bytes, 64, 4, NoteOffset, 0, (ulong)note.Length, (ulong)note.Length, 4);
            PutHeader64(bytes, 64 + 56, 1, CodeOffset, address, (ulong)code.Length, memoryLength, 0x1000);
        }
        else
        {
            Put32(bytes, 28, 52);
            Put16(bytes, 42, 32);
            Put16(bytes, 44, 2);
            PutHeader32(bytes, 52, 4, NoteOffset, 0, (uint)note.Length, (uint)note.Length, 4);
            PutHeader32(bytes, 52 + 32, 1, CodeOffset, (uint)address, (uint)code.Length, (uint)memoryLength, 0x1000);
        }

        code.CopyTo(bytes.AsSpan(CodeOffset));
        return bytes;
    }

    public static void Put16(byte[] bytes, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(offset), value);

    public static void Put32(byte[] bytes, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    public static void Put64(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);

    // Another note before the one that counts, with a name that needs padding.
    private static byte[] CreateNote(uint entry, uint type)
    {
        byte[] note = new byte[12 + 8 + 8 + 12 + 4 + 4];
        Put32(note, 0, 6);
        Put32(note, 4, 5);
        Put32(note, 8, 18);
        "Linux\0"u8.CopyTo(note.AsSpan(12));
        Put32(note, 28, 4);
        Put32(note, 32, 4);
        Put32(note, 36, type);
        "Xen\0"u8.CopyTo(note.AsSpan(40));
        Put32(note, 44, entry);
        return note;
    }

    private static void PutHeader64(byte[] bytes, int at, uint type, ulong offset, ulong address, ulong fileSize, ulong memorySize, ulong alignment)
    {
        Put32(bytes, at, type);
        Put64(bytes, at + 8, offset);
        Put64(bytes, at + 24, address);
        Put64(bytes, at + 32, fileSize);
        Put64(bytes, at + 40, memorySize);
        Put64(bytes, at + 48, alignment);
    }

    private static void PutHeader32(byte[] bytes, int at, uint type, uint offset, uint address, uint fileSize, uint memorySize, uint alignment)
    {
        Put32(bytes, at, type);
        Put32(bytes, at + 4, offset);
        Put32(bytes, at + 12, address);
        Put32(bytes, at + 16, fileSize);
        Put32(bytes, at + 20, memorySize);
        Put32(bytes, at + 28, alignment);
    }
}
