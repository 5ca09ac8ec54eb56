using System.Buffers.Binary;

namespace Lamina.Boot.Multiboot;

/// <summary>The Multiboot header of an image (Multiboot Specification 0.6.96, section 3.1). Every field is hostile input.</summary>
/// <param name="Offset">Where in the file it is.</param>
/// <param name="Flags">What the image asks for, and which fields are valid.</param>
/// <param name="Header">Address at which the header itself is to be; with the address fields only, like those that follow.</param>
/// <param name="Load">Address of the first byte to be loaded.</param>
/// <param name="LoadEnd">Address after the last byte to be loaded; 0 for all of the file.</param>
/// <param name="ClearEnd">Address after the memory to be cleared; 0 for none.</param>
/// <param name="Entry">Address of the entry.</param>
internal readonly record struct MultibootHeader(int Offset, uint Flags, uint Header, uint Load, uint LoadEnd, uint ClearEnd, uint Entry)
{
    private const uint Magic = 0x1bad_b002;
    private const int SearchLength = 8192;
    private const int MinimumSize = 12;
    private const int AddressFieldsSize = 32;
    private const uint HasAddressFields = 1 << 16;

    // Modules on page boundaries, and memory and video information, which is a wish: it says by its own flags what it has. All others of the lower half must be understood.
    private const uint KnownRequirements = 0b111;
    private const uint Requirements = 0xffff;

    /// <summary>Whether the address fields say what is loaded where, in place of ELF's program headers.</summary>
    internal bool HasAddresses => (Flags & HasAddressFields) != 0;

    /// <summary>Looks for the header in the first 8 KiB of a file.</summary>
    /// <exception cref="BootException">It asks for something unknown, or is cut off.</exception>
    internal static MultibootHeader? Find(BootImageReader image)
    {
        byte[] start = new byte[Math.Min(SearchLength, image.Length)];
        image.Read(0, start);
        for (int offset = 0; offset <= start.Length - MinimumSize; offset += 4)
        {
            uint magic = Get(start, offset);
            uint flags = Get(start, offset + 4);
            if (magic == Magic && unchecked(magic + flags + Get(start, offset + 8)) == 0)
            {
                return Parse(image, offset, flags);
            }
        }

        return null;
    }

    private static MultibootHeader Parse(BootImageReader image, int offset, uint flags)
    {
        uint unknown = flags & Requirements & ~KnownRequirements;
        if (unknown != 0)
        {
            throw new BootException($"'{image.Name}' is a Multiboot image that requires features 0x{unknown:x}; 0x{KnownRequirements:x} are known.");
        }

        if ((flags & HasAddressFields) == 0)
        {
            return new MultibootHeader(offset, flags, 0, 0, 0, 0, 0);
        }

        byte[] header = new byte[AddressFieldsSize];
        image.Read(offset, header);
        return new MultibootHeader(offset, flags, Get(header, 12), Get(header, 16), Get(header, 20), Get(header, 24), Get(header, 28));
    }

    private static uint Get(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);
}
