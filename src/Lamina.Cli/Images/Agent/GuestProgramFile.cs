using System.Buffers.Binary;

namespace Lamina.Cli.Images.Agent;

/// <summary>Writes a static program as an ELF file: code with its constants, and room for variables.</summary>
internal static class GuestProgramFile
{
    /// <summary>Where the first instruction is.</summary>
    public const ulong CodeAddress = Image + HeaderLength;

    /// <summary>Where the variables are.</summary>
    public const ulong VariablesAddress = 0x60_0000;

    private const ulong Image = 0x40_0000;
    private const int FileHeaderLength = 64;
    private const int SegmentHeaderLength = 56;
    private const int HeaderLength = FileHeaderLength + (2 * SegmentHeaderLength);
    private const int PageSize = 4096;
    private const uint Execute = 1;
    private const uint Write = 2;
    private const uint Read = 4;

    /// <summary>Writes it.</summary>
    public static byte[] Create(ReadOnlySpan<byte> code, int variablesLength)
    {
        byte[] file = new byte[HeaderLength + code.Length];
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(16), 2);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(18), 62);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(20), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(24), CodeAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(32), FileHeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(52), FileHeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(54), SegmentHeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 2);
        WriteSegment(file.AsSpan(FileHeaderLength), Read | Execute, Image, file.Length, file.Length);
        WriteSegment(file.AsSpan(FileHeaderLength + SegmentHeaderLength), Read | Write, VariablesAddress, 0, variablesLength);
        code.CopyTo(file.AsSpan(HeaderLength));
        return file;
    }

    private static void WriteSegment(Span<byte> header, uint rights, ulong address, int fileLength, int memoryLength)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, 1);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], rights);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], (ulong)fileLength);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], (ulong)memoryLength);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], PageSize);
    }
}
