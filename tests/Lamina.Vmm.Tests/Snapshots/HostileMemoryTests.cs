using System.Buffers.Binary;
using Lamina.Interop.Memory;
using Lamina.Vmm.Snapshots;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>Compressed memory and lists of pages of whoever made them: they are taken, or refused, and nothing else happens.</summary>
public sealed class HostileMemoryTests : IDisposable
{
    private const int Length = 1 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-hostile").FullName;
    private readonly byte[] _content = new byte[Length];

    public HostileMemoryTests()
    {
        // Some that can be compressed, some that cannot, and zeroes.
        Random random = new(4);
        random.NextBytes(_content.AsSpan(0x1_0000, 0x2_5000));
        _content.AsSpan(0x8_0000, 0x3_0000).Fill(7);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_was_packed_comes_out_again()
    {
        byte[] packed = Pack(null);
        Assert.Equal(Sha256.Hash(packed), Unpack(packed, out byte[] memory));
        Assert.True(memory.AsSpan().SequenceEqual(_content), "other memory came out");
        Assert.True(packed.Length < 0x2_7000, $"{packed.Length} bytes are not compressed");

        // Pages of zeroes count where they are listed.
        packed = Pack([new PageRun(0, 2), new PageRun(0x80, 1)]);
        Assert.Equal(Sha256.Hash(packed), Unpack(packed, out memory, 9));
        Assert.False(memory.AsSpan(0, 0x2000).ContainsAnyExcept((byte)0), "zeroes were not laid over what was there");
        Assert.False(memory.AsSpan(0x2000, 0x1000).ContainsAnyExcept((byte)9), "a page was changed that is not listed");
        Assert.Equal(7, memory[0x8_0000]);
    }

    [Fact]
    public void Changed_files_are_refused_or_taken_and_nothing_else()
    {
        byte[] packed = Pack(null);
        Random random = new(6);
        int refused = 0;
        for (int round = 0; round < 400; round++)
        {
            byte[] changed = random.Next(4) == 0 ? packed[..random.Next(packed.Length)] : [.. packed];
            for (int i = 0; i < 3 && changed.Length > 0; i++)
            {
                // Mostly in heads, which follow each other where pieces are short.
                int at = random.Next(2) == 0 ? random.Next(Math.Min(40, changed.Length)) : random.Next(changed.Length);
                changed[at] = (byte)random.Next(256);
            }

            refused += Unpack(changed, out _) == null ? 1 : 0;
        }

        Assert.True(refused > 100, $"only {refused} were refused: that proves nothing");
    }

    [Theory]
    [InlineData(Length / 4096, 1u, 0u)]
    [InlineData((Length / 4096) - 1, 2u, 0u)]
    [InlineData(ulong.MaxValue, 16u, 0u)]
    [InlineData(0, 17u, 0u)]
    [InlineData(0, 1u, 4097u)]
    [InlineData(0, uint.MaxValue, uint.MaxValue)]
    public void A_piece_that_is_not_in_memory_is_refused(ulong page, uint pages, uint length)
    {
        byte[] packed = new byte[8 + 16 + 0x1_0000 + 16];
        "LAMPACK1"u8.CopyTo(packed);
        BinaryPrimitives.WriteUInt64LittleEndian(packed.AsSpan(8), page);
        BinaryPrimitives.WriteUInt32LittleEndian(packed.AsSpan(16), pages);
        BinaryPrimitives.WriteUInt32LittleEndian(packed.AsSpan(20), length);
        Assert.Null(Unpack(packed, out _));
    }

    [Fact]
    public void Lists_of_pages_are_in_order_and_in_memory()
    {
        PageRun[] runs = [new(0, 1), new(1, 3), new(100, 156)];
        Assert.Equal(runs, PageList.Read(PageList.Write(runs), Length));
        Assert.Empty(PageList.Read([], Length)!);
        foreach (PageRun[] wrong in (PageRun[][])[[new(0, 0)], [new(256, 1)], [new(255, 2)], [new(5, 2), new(6, 1)], [new(5, 1), new(4, 1)], [new(ulong.MaxValue, 1)], [new(1, ulong.MaxValue)]])
        {
            Assert.Null(PageList.Read(PageList.Write(wrong), Length));
        }

        Assert.Null(PageList.Read(new byte[15], Length));
    }

    private byte[] Pack(PageRun[]? runs)
    {
        string memory = Path.Combine(_directory, "memory");
        string packed = Path.Combine(_directory, "packed");
        File.WriteAllBytes(memory, _content);
        using (SafeFileHandle source = File.OpenHandle(memory))
        {
            using SafeFileHandle target = File.OpenHandle(packed, FileMode.Create, FileAccess.ReadWrite);
            PackedMemory.Pack(source, runs, target);
        }

        return File.ReadAllBytes(packed);
    }

    private string? Unpack(byte[] packed, out byte[] memory, byte before = 0)
    {
        string path = Path.Combine(_directory, "unpacked");
        File.WriteAllBytes(path, packed);
        using SafeFileHandle file = File.OpenHandle(path);
        using MemoryMapping mapping = MemoryMapping.CreateAnonymous(Length, hugePages: false);
        mapping.GetSpan(0, Length).Fill(before);
        string? digest = PackedMemory.Unpack(file, mapping);
        memory = mapping.GetSpan(0, Length).ToArray();
        return digest;
    }
}
