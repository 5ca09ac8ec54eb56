using System.Buffers.Binary;
using System.IO.Compression;
using Lamina.Vmm;

namespace Lamina.Cli.Screen;

/// <summary>Writes pictures as PNG (ISO/IEC 15948): eight bits a colour, no interlacing.</summary>
internal static class PngImage
{
    private const int BytesPerPixel = 3;
    private const byte ColourType = 2;
    private const byte FilterUp = 2;
    private const uint Polynomial = 0xedb88320;

    private static ReadOnlySpan<byte> Signature => [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

    /// <summary>Makes the file's content.</summary>
    public static byte[] Create(Screenshot picture)
    {
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, picture.Width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], picture.Height);
        (header[8], header[9], header[10], header[11], header[12]) = (8, ColourType, 0, 0, 0);
        using MemoryStream file = new();
        file.Write(Signature);
        WriteChunk(file, "IHDR"u8, header);
        WriteChunk(file, "IDAT"u8, Compress(picture));
        WriteChunk(file, "IEND"u8, []);
        return file.ToArray();
    }

    // What a line has in common with the one above compresses to nothing.
    private static byte[] Compress(Screenshot picture)
    {
        int length = picture.Width * BytesPerPixel;
        byte[] line = new byte[1 + length];
        line[0] = FilterUp;
        using MemoryStream compressed = new();
        using (ZLibStream stream = new(compressed, CompressionLevel.Fastest, leaveOpen: true))
        {
            ReadOnlySpan<byte> pixels = picture.Pixels.Span;
            for (int y = 0; y < picture.Height; y++)
            {
                for (int x = 0; x < length; x++)
                {
                    line[1 + x] = (byte)(pixels[(y * length) + x] - (y == 0 ? 0 : pixels[((y - 1) * length) + x]));
                }

                stream.Write(line);
            }
        }

        return compressed.ToArray();
    }

    private static void WriteChunk(MemoryStream file, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        file.Write(number);
        file.Write(type);
        file.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, ~AddChecksum(AddChecksum(uint.MaxValue, type), data));
        file.Write(number);
    }

    private static uint AddChecksum(uint checksum, ReadOnlySpan<byte> data)
    {
        foreach (byte value in data)
        {
            checksum ^= value;
            for (int i = 0; i < 8; i++)
            {
                checksum = (checksum >> 1) ^ ((checksum & 1) != 0 ? Polynomial : 0);
            }
        }

        return checksum;
    }
}
