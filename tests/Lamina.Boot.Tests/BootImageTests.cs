using Lamina.Boot.Layout;

namespace Lamina.Boot.Tests;

public sealed class BootImageTests
{
    [Theory]
    [InlineData("/nonexistent/vmlinuz", "'/nonexistent/vmlinuz' does not exist.")]
    [InlineData("/tmp", "'/tmp' is a directory, not a file.")]
    [InlineData("", "cannot be read")]
    public void AFileThatCannotBeOpenedIsNamed(string path, string reason)
    {
        BootException e = Assert.Throws<BootException>(() => BootImage.FromFile(path).Open());
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFileStaysReadableWhileItIsOpen()
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, "0123456789");
        using BootImageReader reader = BootImage.FromFile(path).Open();
        File.Delete(path);
        byte[] bytes = new byte[4];
        reader.Read(6, bytes);
        Assert.Equal("6789"u8, bytes);
        Assert.Equal(10, reader.Length);
        Assert.Contains("is truncated: it ends at byte 10", Assert.Throws<BootException>(() => reader.Read(7, bytes)).Message, StringComparison.Ordinal);
        Assert.Throws<BootException>(() => reader.Read(long.MaxValue, bytes));
        Assert.Throws<BootException>(() => reader.Read(-1, bytes));
    }

    [Theory]
    [InlineData(new byte[0], "it is empty")]
    [InlineData(new byte[] { 0x1f, 0x8b, 8, 0 }, "compressed with gzip")]
    [InlineData(new byte[] { 0x4d, 0x5a, 8, 0 }, "EFI program")]
    [InlineData(new byte[] { 1, 2, 3 }, "no boot header of Linux or Multiboot")]
    public void WhatIsNoKernelIsDescribed(byte[] bytes, string description)
    {
        BootSource source = new() { Kernel = BootImage.FromBytes(bytes, "file") };
        BootException e = Assert.Throws<BootException>(() => new BootLoader(source, new MachineLayout(64 << 20)));
        Assert.Contains(description, e.Message, StringComparison.Ordinal);
        Assert.EndsWith("a Linux bzImage, an ELF file with a PVH entry, a Multiboot image, or a ROM of 64 or 128 KiB is accepted.", e.Message, StringComparison.Ordinal);
    }
}
