using System.Globalization;
using System.Text;
using Lamina.Boot.Initramfs;

namespace Lamina.Boot.Tests.Initramfs;

public sealed class CpioWriterTests
{
    [Fact]
    public void EntriesAreAsTheFormatSays()
    {
        List<(string Name, uint Mode, string Content, uint Major, uint Minor)> entries = Parse(Create());
        Assert.Equal(("bin", 0x41edu, "", 0u, 0u), entries[0]);
        Assert.Equal(("bin/busybox", 0x81edu, "hello", 0u, 0u), entries[1]);
        Assert.Equal(("bin/sh", 0xa1ffu, "busybox", 0u, 0u), entries[2]);
        Assert.Equal(("dev/console", 0x2180u, "", 5u, 1u), entries[3]);
        Assert.Equal(("stream", 0x81a4u, "streamed", 0u, 0u), entries[4]);
        Assert.Equal("TRAILER!!!", entries[5].Name);
        Assert.Equal(6, entries.Count);
    }

    [Fact]
    public void TheSameCallsGiveTheSameBytesInWholeBlocks()
    {
        byte[] archive = Create();
        Assert.Equal(archive, Create());
        Assert.Equal(0, archive.Length % 512);
    }

    [Fact]
    public void WhatCannotBeStoredIsRefused()
    {
        using MemoryStream stream = new();
        CpioWriter writer = new(stream);
        Assert.Throws<ArgumentException>(() => writer.AddDirectory("/bin"));
        Assert.Throws<ArgumentException>(() => writer.AddDirectory(""));
        Assert.Throws<ArgumentException>(() => writer.AddFile("a\0b", default));
        using MemoryStream content = new(new byte[3]);
        Assert.Throws<EndOfStreamException>(() => writer.AddFile("short", content, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.AddFile("huge", content, 1L << 32));
        writer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => writer.AddDirectory("late"));
    }

    private static byte[] Create()
    {
        using MemoryStream stream = new();
        using (CpioWriter writer = new(stream))
        {
            writer.AddDirectory("bin");
            writer.AddFile("bin/busybox", "hello"u8, 0b111_101_101);
            writer.AddSymbolicLink("bin/sh", "busybox");
            writer.AddCharacterDevice("dev/console", 5, 1);
            using MemoryStream content = new("streamed"u8.ToArray());
            writer.AddFile("stream", content, 8);
        }

        return stream.ToArray();
    }

    private static List<(string Name, uint Mode, string Content, uint Major, uint Minor)> Parse(byte[] archive)
    {
        List<(string, uint, string, uint, uint)> entries = [];
        int position = 0;
        string name;
        do
        {
            Assert.Equal("070701"u8, archive.AsSpan(position, 6));
            uint length = Field(6);
            name = Encoding.UTF8.GetString(archive, position + 110, (int)Field(11) - 1);
            int content = position + 110 + name.Length + 1;
            content += -content & 3;
            entries.Add((name, Field(1), Encoding.UTF8.GetString(archive, content, (int)length), Field(9), Field(10)));
            int next = content + (int)length;
            next += -next & 3;
            Assert.True(next > position);
            position = next;
        }
        while (name != "TRAILER!!!");
        return entries;

        uint Field(int index) => uint.Parse(Encoding.ASCII.GetString(archive, position + 6 + 8 * index, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
