using System.IO.Compression;
using Lamina.Interop;
using Lamina.Interop.Compression;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>Reads compressed clusters. How long one is, the image tells only in sectors of 512 bytes: unpacking ends when there is a cluster.</summary>
internal static class Qcow2Compression
{
    private const ulong DescriptorMask = (1UL << 62) - 1;

    /// <summary>Where in the file a compressed cluster is.</summary>
    public static (ulong Offset, int Length) Locate(Qcow2Header header, ulong entry)
    {
        int bits = 62 - (header.ClusterBits - 8);
        ulong offset = entry & ((1UL << bits) - 1);
        int sectors = (int)((entry & DescriptorMask) >> bits) + 1;
        return (offset, (sectors * 512) - (int)(offset & 511));
    }

    /// <summary>Reads a cluster.</summary>
    /// <returns>0, or an errno value.</returns>
    public static int Read(BlockFile file, Qcow2Header header, ulong entry, byte[] content)
    {
        (ulong offset, int length) = Locate(header, entry);
        byte[] packed = new byte[length];
        int error = file.ReadAt(offset, packed.AsSpan());
        if (error != 0)
        {
            return error;
        }

        if (header.UsesZstd)
        {
            return ZstdDecoder.TryDecode(packed, content) ? 0 : ErrorNumber.InputOutput;
        }

        try
        {
            using MemoryStream stream = new(packed);
            using DeflateStream inflated = new(stream, CompressionMode.Decompress);
            return inflated.ReadAtLeast(content, content.Length, throwOnEndOfStream: false) == content.Length ? 0 : ErrorNumber.InputOutput;
        }
        catch (InvalidDataException)
        {
            return ErrorNumber.InputOutput;
        }
    }
}
