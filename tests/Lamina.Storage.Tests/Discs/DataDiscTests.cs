using System.Buffers.Binary;
using System.Text;
using Lamina.Storage.Discs;

namespace Lamina.Storage.Tests.Discs;

/// <summary>Discs as ECMA-119 and Joliet describe them, read by the book. A guest's own driver reads one in <c>Lamina.Guests</c>.</summary>
public sealed class DataDiscTests
{
    private const int Sector = 2048;

    [Theory]
    [InlineData(16, 1)]
    [InlineData(17, 2)]
    public void FilesAreFoundThroughEachDirectory(int sector, int type)
    {
        byte[] large = new byte[5000];
        new Random(1).NextBytes(large);
        byte[] disc = DataDisc.Create("cidata", [("meta-data", "id: 1\n"u8.ToArray()), ("user-data", large)]);
        Assert.Equal(0, disc.Length % Sector);
        ReadOnlySpan<byte> volume = disc.AsSpan(sector * Sector, Sector);
        Assert.Equal(type, volume[0]);
        Assert.True(volume[1..6].SequenceEqual("CD001"u8));
        Encoding text = type == 1 ? Encoding.ASCII : Encoding.BigEndianUnicode;
        Assert.Equal("cidata", text.GetString(volume[40..72]).TrimEnd(' '));
        Assert.Equal((uint)(disc.Length / Sector), Both(volume[80..]));

        uint root = Both(volume[158..]);
        ReadOnlySpan<byte> table = disc.AsSpan((int)BinaryPrimitives.ReadUInt32LittleEndian(volume[140..]) * Sector);
        Assert.Equal(root, BinaryPrimitives.ReadUInt32LittleEndian(table[2..]));
        table = disc.AsSpan((int)BinaryPrimitives.ReadUInt32BigEndian(volume[148..]) * Sector);
        Assert.Equal(root, BinaryPrimitives.ReadUInt32BigEndian(table[2..]));

        Dictionary<string, byte[]> found = [];
        int records = 0;
        for (int at = (int)root * Sector; disc[at] != 0; at += disc[at], records++)
        {
            ReadOnlySpan<byte> record = disc.AsSpan(at, disc[at]);
            if ((record[25] & 2) == 0)
            {
                found[text.GetString(record.Slice(33, record[32]))] = disc.AsSpan((int)Both(record[2..]) * Sector, (int)Both(record[10..])).ToArray();
            }
            else
            {
                Assert.Equal(root, Both(record[2..]));
            }
        }

        Assert.Equal(4, records);
        Assert.Equal("id: 1\n"u8.ToArray(), found[type == 1 ? "META_DATA.;1" : "meta-data"]);
        Assert.Equal(large, found[type == 1 ? "USER_DATA.;1" : "user-data"]);
    }

    [Fact]
    public void NamesThatDoNotFitAreRefused()
    {
        Assert.Throws<ArgumentException>(() => DataDisc.Create(new string('x', 17), []));
        Assert.Throws<ArgumentException>(() => DataDisc.Create("x", [(new string('x', 31), [])]));
        Assert.Throws<ArgumentException>(() => DataDisc.Create("x", [.. Enumerable.Range(0, 60).Select(i => ($"name-of-a-file-{i:d3}", Array.Empty<byte>()))]));
    }

    private static uint Both(ReadOnlySpan<byte> field)
    {
        uint little = BinaryPrimitives.ReadUInt32LittleEndian(field);
        Assert.Equal(little, BinaryPrimitives.ReadUInt32BigEndian(field[4..]));
        return little;
    }
}
