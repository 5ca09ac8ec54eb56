using System.Buffers.Binary;

namespace Lamina.Boot.Elf;

/// <summary>The program headers of an x86 ELF file (System V ABI, chapters 4 and 5), validated as hostile input.</summary>
internal sealed class ElfImage
{
    private const int HeaderSize32 = 52;
    private const int HeaderSize64 = 64;
    private const int ProgramHeaderSize32 = 32;
    private const int ProgramHeaderSize64 = 56;
    private const int MaximumSegments = 256;
    private const ushort MachineI386 = 3;
    private const ushort MachineX64 = 62;
    private const ushort Executable = 2;
    private const ushort SharedObject = 3;

    internal ElfImage(BootImageReader reader)
    {
        Span<byte> header = stackalloc byte[HeaderSize64];
        reader.Read(0, header[..HeaderSize32]);
        bool is64 = header[4] == 2;
        if (header[4] is not (1 or 2) || header[5] != 1)
        {
            throw new BootException($"'{reader.Name}' is not a little-endian ELF file of 32 or 64 bits.");
        }

        if (is64)
        {
            reader.Read(0, header);
        }

        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(header[16..]);
        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(header[18..]);
        if (machine is not (MachineI386 or MachineX64))
        {
            throw new BootException($"'{reader.Name}' is an ELF file for another processor (machine {machine}); x86 is accepted.");
        }

        if (type is not (Executable or SharedObject))
        {
            throw new BootException($"'{reader.Name}' is an ELF file of type {type}; an executable is accepted.");
        }

        ulong table = is64 ? BinaryPrimitives.ReadUInt64LittleEndian(header[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(header[28..]);
        int entrySize = BinaryPrimitives.ReadUInt16LittleEndian(header[(is64 ? 54 : 42)..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header[(is64 ? 56 : 44)..]);
        int needed = is64 ? ProgramHeaderSize64 : ProgramHeaderSize32;
        if (count is 0 or > MaximumSegments || entrySize < needed || table > long.MaxValue)
        {
            throw new BootException($"'{reader.Name}' has {count} program headers of {entrySize} bytes; 1 to {MaximumSegments} of at least {needed} are accepted.");
        }

        Entry = is64 ? BinaryPrimitives.ReadUInt64LittleEndian(header[24..]) : BinaryPrimitives.ReadUInt32LittleEndian(header[24..]);
        Segments = new ElfSegment[count];
        Span<byte> entry = stackalloc byte[ProgramHeaderSize64];
        for (int i = 0; i < count; i++)
        {
            reader.Read((long)Math.Min(table + (ulong)(i * entrySize), long.MaxValue), entry[..needed]);
            Segments[i] = is64 ? Parse64(entry) : Parse32(entry);
            CheckFileRange(reader, Segments[i]);
        }
    }

    internal ElfSegment[] Segments { get; }

    /// <summary>The virtual address of the entry point.</summary>
    internal ulong Entry { get; }

    internal static bool Recognizes(ReadOnlySpan<byte> start) => start.StartsWith("\u007fELF"u8);

    private static ElfSegment Parse64(ReadOnlySpan<byte> entry) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(entry),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[40..]),
        BinaryPrimitives.ReadUInt64LittleEndian(entry[48..]));

    private static ElfSegment Parse32(ReadOnlySpan<byte> entry) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(entry),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]),
        BinaryPrimitives.ReadUInt32LittleEndian(entry[28..]));

    private static void CheckFileRange(BootImageReader reader, ElfSegment segment)
    {
        ulong length = (ulong)reader.Length;
        bool used = segment.Type is ElfSegment.Loadable or ElfSegment.Notes;
        if (used && (segment.FileOffset > length || segment.FileSize > length - segment.FileOffset))
        {
            throw new BootException($"'{reader.Name}' is truncated: a segment of {segment.FileSize} bytes begins at byte {segment.FileOffset}, and the file has {length}.");
        }

        if (segment.Type == ElfSegment.Loadable && segment.MemorySize < segment.FileSize)
        {
            throw new BootException($"'{reader.Name}' has a segment that is longer in the file ({segment.FileSize} bytes) than in memory ({segment.MemorySize} bytes).");
        }
    }
}
