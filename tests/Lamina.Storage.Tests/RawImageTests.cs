namespace Lamina.Storage.Tests;

/// <summary>Raw images: opening, what is refused, and what QEMU sees of our locks.</summary>
public sealed class RawImageTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AFileThatIsMissingIsNamed(bool writable)
    {
        StorageException e = Assert.Throws<StorageException>(() => DiskImages.Open(_directory["none"], null, writable));
        Assert.Contains(_directory["none"], e.Message, StringComparison.Ordinal);
        Assert.Contains("No such file", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ADirectoryIsNoDisk() => Assert.Throws<StorageException>(() => DiskImages.Open(Path.GetTempPath(), null, writable: true));

    [Fact]
    public void AHalfSectorIsRefused()
    {
        string path = _directory.Write("disk", new byte[1000]);
        Assert.Contains("whole sectors", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ContentDoesNotDecideTheFormat()
    {
        byte[] content = new byte[4096];
        "QFI\u00fb"u8[..3].CopyTo(content);
        content[3] = 0xfb;
        string path = _directory.Write("disk.img", content);
        Assert.Contains("format=", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true)).Message, StringComparison.Ordinal);
        using DiskImage image = DiskImages.Open(path, DiskFormat.Raw, writable: true);
        Assert.Equal(DiskFormat.Raw, image.Format);
    }

    [Fact]
    public void WhatIsWrittenIsReadAcrossBuffers()
    {
        string path = _directory.Write("disk", new byte[1 << 20]);
        using HostBuffer memory = new(1 << 16);
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        new Random(1).NextBytes(memory.Bytes);
        Assert.Equal(0, image.Write(4096, [memory.Vector(0, 1000), memory.Vector(2000, 3096)]));
        Assert.Equal(0, image.Flush());
        byte[] file = File.ReadAllBytes(path);
        Assert.True(memory.Bytes[..1000].SequenceEqual(file.AsSpan(4096, 1000)));
        Assert.True(memory.Bytes.Slice(2000, 3096).SequenceEqual(file.AsSpan(5096, 3096)));
        Assert.Equal(0, image.Read(4096, [memory.Vector(8192, 4096)]));
        Assert.True(memory.Bytes.Slice(8192, 4096).SequenceEqual(file.AsSpan(4096, 4096)));
    }

    [Fact]
    public void DiscardAndZeroesMakeHoles()
    {
        byte[] content = new byte[1 << 20];
        Array.Fill(content, (byte)1);
        string path = _directory.Write("disk", content);
        using (DiskImage image = DiskImages.Open(path, null, writable: true))
        {
            Assert.Equal(0, image.Discard(0, 65536));
            Assert.Equal(0, image.WriteZeroes(131072, 65536, mayDiscard: true));
            Assert.Equal(0, image.WriteZeroes(262144 + 512, 1024, mayDiscard: false));
            Assert.Equal(0, image.GetExtent(0, out DiskExtent first));
            Assert.Equal((65536UL, true), (first.Length, first.IsZero));
            Assert.Equal(0, image.GetExtent(65536, out DiskExtent second));
            Assert.False(second.IsZero);
        }

        byte[] now = File.ReadAllBytes(path);
        content.AsSpan(0, 65536).Clear();
        content.AsSpan(131072, 65536).Clear();
        content.AsSpan(262144 + 512, 1024).Clear();
        Assert.Equal(content, now);
    }

    [Fact]
    public void TwoWritersAreRefusedAndReadersShare()
    {
        string path = _directory.Write("disk", new byte[4096]);
        using (DiskImages.Open(path, null, writable: true))
        {
            Assert.Contains("in use", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true)).Message, StringComparison.Ordinal);
            Assert.Contains("in use", Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: false)).Message, StringComparison.Ordinal);
        }

        using (DiskImages.Open(path, null, writable: false))
        using (DiskImages.Open(path, null, writable: false))
        {
            Assert.Throws<StorageException>(() => DiskImages.Open(path, null, writable: true));
        }

        using (DiskImages.Open(path, null, writable: true))
        {
        }
    }

    [Fact]
    public void QemuSeesOurLocks()
    {
        string path = _directory.Write("disk", new byte[1 << 20]);
        using (DiskImages.Open(path, null, writable: true))
        {
            (int status, string output) = QemuTool.Run("qemu-img", "resize", "-f", "raw", path, "2M");
            Assert.NotEqual(0, status);
            Assert.Contains("lock", output, StringComparison.Ordinal);
        }

        using (DiskImages.Open(path, null, writable: false))
        {
            QemuTool.Check("qemu-img", "info", "-f", "raw", path);
            Assert.NotEqual(0, QemuTool.Run("qemu-img", "resize", "-f", "raw", path, "2M").Status);
        }

        QemuTool.Check("qemu-img", "resize", "-f", "raw", path, "2M");
    }
}
