using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Lamina.Cli.Screen;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Screen;

/// <summary>PNG files, read again chunk by chunk.</summary>
public sealed class PngImageTests
{
    [Fact]
    public void APictureIsReadAgain()
    {
        byte[] pixels = new byte[5 * 7 * 3];
        new Random(1).NextBytes(pixels);
        Span<byte> file = PngImage.Create(new Screenshot(5, 7, pixels));
        Assert.Equal("\x89PNG\r\n\x1a\n", Encoding.Latin1.GetString(file[..8]));
        Dictionary<string, byte[]> chunks = [];
        List<string> order = [];
        for (file = file[8..]; file.Length > 0;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file);
            string type = Encoding.ASCII.GetString(file.Slice(4, 4));
            chunks[type] = file.Slice(8, length).ToArray();
            order.Add(type);
            file = file[(12 + length)..];
        }

        Assert.Equal(["IHDR", "IDAT", "IEND"], order);
        Assert.Equal([0, 0, 0, 5, 0, 0, 0, 7, 8, 2, 0, 0, 0], chunks["IHDR"]);
        using ZLibStream stream = new(new MemoryStream(chunks["IDAT"]), CompressionMode.Decompress);
        byte[] lines = new byte[7 * 16];
        stream.ReadExactly(lines);
        Assert.Equal(-1, stream.ReadByte());
        byte[] read = new byte[pixels.Length];
        for (int i = 0; i < read.Length; i++)
        {
            Assert.Equal(2, lines[i / 15 * 16]);
            read[i] = (byte)(lines[(i / 15 * 16) + 1 + (i % 15)] + (i < 15 ? 0 : read[i - 15]));
        }

        Assert.Equal(pixels, read);
    }

    [Fact]
    public void TheChecksumsAreThoseOfTheStandard()
    {
        // Of an end chunk, which has no data.
        Assert.Equal([0xae, 0x42, 0x60, 0x82], PngImage.Create(new Screenshot(1, 1, new byte[3]))[^4..]);
    }
}
