namespace Lamina.Boot.Tests.Images;

/// <summary>Makes a file with a Multiboot header whose address fields say what is loaded where.</summary>
internal static class MultibootImageBuilder
{
    public const int HeaderOffset = 0x40;
    public const int CodeOffset = 0x80;
    private const uint Magic = 0x1bad_b002;
    private const uint AddressFields = 1 << 16;

    /// <summary>Makes one that is loaded from its first byte on.</summary>
    public static byte[] Create(
        ReadOnlySpan<byte> code, uint load = 0x10_0000, uint? header = null, uint loadEnd = 0, uint clearEnd = 0, uint? entry = null, uint flags = AddressFields)
    {
        byte[] bytes = new byte[CodeOffset + code.Length];
        code.CopyTo(bytes.AsSpan(CodeOffset));
        PutHeader(bytes, HeaderOffset, flags);
        ElfImageBuilder.Put32(bytes, HeaderOffset + 12, header ?? load + HeaderOffset);
        ElfImageBuilder.Put32(bytes, HeaderOffset + 16, load);
        ElfImageBuilder.Put32(bytes, HeaderOffset + 20, loadEnd);
        ElfImageBuilder.Put32(bytes, HeaderOffset + 24, clearEnd);
        ElfImageBuilder.Put32(bytes, HeaderOffset + 28, entry ?? load + CodeOffset);
        return bytes;
    }

    public static void PutHeader(byte[] bytes, int offset, uint flags)
    {
        ElfImageBuilder.Put32(bytes, offset, Magic);
        ElfImageBuilder.Put32(bytes, offset + 4, flags);
        ElfImageBuilder.Put32(bytes, offset + 8, unchecked(0 - Magic - flags));
    }
}
