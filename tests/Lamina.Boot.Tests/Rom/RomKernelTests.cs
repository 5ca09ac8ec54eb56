using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Rom;

/// <summary>Programs in the place of firmware.</summary>
public sealed class RomKernelTests : IDisposable
{
    private readonly TestMemory _machine = new(4 << 20);

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(64 << 10, 0xea)]
    [InlineData(128 << 10, 0xe9)]
    [InlineData(64 << 10, 0xeb)]
    public void ARomIsEnteredAtItsResetVectorInRealMode(int length, byte jump)
    {
        using BootLoader loader = _machine.Boot(Source(Create(length, jump)));
        Assert.Equal(BootProtocol.Rom, loader.Protocol);
        Assert.Equal(new SegmentState(0xf000, 0xf_0000, 0xffff, 0x9b), _machine.State.Segments[1]);
        Assert.Equal(0xfff0UL, _machine.State.Rip);
        Assert.Equal(0UL, _machine.State.Cr0 & 1);
        Assert.Equal([0x11, 0x22], _machine.ReadBytes(0x10_0000 - (ulong)length, 2));
        Assert.Equal([jump, 0, 0], _machine.ReadBytes(0xf_fff0, 3));
        Assert.Equal(0, _machine.Read<byte>(0x2_0000));
    }

    [Theory]
    [InlineData(64 << 10, 0x90)]
    [InlineData(32 << 10, 0xea)]
    [InlineData((64 << 10) + 1, 0xea)]
    [InlineData(256 << 10, 0xea)]
    public void OfOtherLengthsOrWithoutAJumpItIsNone(int length, byte jump)
    {
        BootException e = Assert.Throws<BootException>(() => _machine.Boot(Source(Create(length, jump))));
        Assert.Contains("a ROM of 64 or 128 KiB", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ItTakesNoCommandLineAndNoInitialRamDisk()
    {
        byte[] rom = Create(64 << 10, 0xea);
        Assert.Contains("accepts at most 0", Assert.Throws<BootException>(() => _machine.Boot(Source(rom) with { CommandLine = "x" })).Message, StringComparison.Ordinal);
        Assert.Contains("no initial RAM disk", Assert.Throws<BootException>(() => _machine.Boot(Source(rom) with { Initrd = BootImage.FromBytes(new byte[1], "initrd") })).Message, StringComparison.Ordinal);
    }

    private static BootSource Source(byte[] rom) => new() { Kernel = BootImage.FromBytes(rom, "rom") };

    private static byte[] Create(int length, byte jump)
    {
        byte[] rom = new byte[length];
        (rom[0], rom[1], rom[^16]) = (0x11, 0x22, jump);
        return rom;
    }
}
