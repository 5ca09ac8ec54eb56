using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Linux;

public sealed class LinuxKernelTests : IDisposable
{
    private const int Rsi = 6;
    private readonly TestMemory _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void TheLongModeEntryIsAsTheProtocolSays()
    {
        LinuxImageBuilder image = new();
        byte[] initrd = [.. Enumerable.Range(0, 5000).Select(i => (byte)i)];
        BootSource source = new() { Kernel = image.ToImage(), Initrd = BootImage.FromBytes(initrd, "initrd"), CommandLine = "console=ttyS0 größe" };
        using BootLoader loader = _machine.Boot(source, 0xf_0000);
        ProcessorState state = _machine.State;
        Assert.Equal(BootProtocol.Linux64, loader.Protocol);
        Assert.Equal(0x100_0200UL, state.Rip);
        Assert.Equal(2UL, state.Rflags);
        Assert.Equal(0x8000_0011UL, state.Cr0);
        Assert.Equal(0x20UL, state.Cr4);
        Assert.Contains(new MsrValue(0xc000_0080, 0x500), state.Msrs);
        Assert.Equal(new SegmentState(0x10, 0, uint.MaxValue, 0xa09b), state.Segments[1]);
        Assert.Equal(new SegmentState(0x18, 0, uint.MaxValue, 0xc093), state.Segments[3]);
        Assert.Equal(0x00af_9b00_0000_ffffUL, _machine.Read<ulong>(state.GdtBase + 0x10));
        Assert.Equal(0x00cf_9300_0000_ffffUL, _machine.Read<ulong>(state.GdtBase + 0x18));
        Assert.Equal(image.Payload, _machine.ReadBytes(0x100_0000, image.Payload.Length));

        ulong parameters = state.GeneralRegisters[Rsi];
        Assert.Equal(0x5372_6448u, _machine.Read<uint>(parameters + 0x202));
        Assert.Equal(0xff, _machine.Read<byte>(parameters + 0x210));
        Assert.Equal(0x81, _machine.Read<byte>(parameters + 0x211));
        Assert.Equal(0x100_0000u, _machine.Read<uint>(parameters + 0x214));
        Assert.Equal(0xf_0000UL, _machine.Read<ulong>(parameters + 0x70));
        Assert.Equal("console=ttyS0 größe", _machine.ReadText(_machine.Read<uint>(parameters + 0x228)));
        ulong initrdAddress = _machine.Read<uint>(parameters + 0x218);
        Assert.Equal((64UL << 20) - 8192, initrdAddress);
        Assert.Equal(5000u, _machine.Read<uint>(parameters + 0x21c));
        Assert.Equal(initrd, _machine.ReadBytes(initrdAddress, 5000));
        ulong seed = _machine.Read<ulong>(parameters + 0x250);
        Assert.Equal((0UL, 9u, 32u), (_machine.Read<ulong>(seed), _machine.Read<uint>(seed + 8), _machine.Read<uint>(seed + 12)));
    }

    [Fact]
    public void TheMemoryMapIsInTheBootParameters()
    {
        using BootLoader loader = _machine.Boot(new BootSource { Kernel = new LinuxImageBuilder().ToImage() });
        ulong parameters = _machine.State.GeneralRegisters[Rsi];
        int count = _machine.Read<byte>(parameters + 0x1e8);
        Assert.Equal(_machine.Layout.MemoryMap.Count, count);
        for (int i = 0; i < count; i++)
        {
            ulong entry = parameters + 0x2d0 + 20 * (ulong)i;
            Assert.Equal(_machine.Layout.MemoryMap[i].Address, _machine.Read<ulong>(entry));
            Assert.Equal(_machine.Layout.MemoryMap[i].Length, _machine.Read<ulong>(entry + 8));
            Assert.Equal((uint)_machine.Layout.MemoryMap[i].Type, _machine.Read<uint>(entry + 16));
        }
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x100_0200UL)]
    [InlineData(0x7000UL)]
    [InlineData(0xffff_fff8UL)]
    public void TheFirstFourGibibytesAreMappedOntoThemselves(ulong address)
    {
        using BootLoader loader = _machine.Boot(new BootSource { Kernel = new LinuxImageBuilder().ToImage() });
        ulong pointers = _machine.Read<ulong>(_machine.State.Cr3 + 8 * (address >> 39 & 511));
        ulong directory = _machine.Read<ulong>((pointers & ~0xfffUL) + 8 * (address >> 30 & 511));
        ulong page = _machine.Read<ulong>((directory & ~0xfffUL) + 8 * (address >> 21 & 511));
        Assert.Equal((3UL, 3UL, 0x83UL), (pointers & 0xfff, directory & 0xfff, page & 0xfff));
        Assert.Equal(address >> 21, page >> 21);
    }

    [Theory]
    [InlineData(BootProtocol.Linux32, 0x7f)]
    [InlineData(BootProtocol.Automatic, 0x7e)]
    public void TheProtectedModeEntryIsTakenWhenForcedOrWhenThereIsNoOther(BootProtocol protocol, ushort flags)
    {
        BootImage kernel = new LinuxImageBuilder().Word(0x236, flags).ToImage();
        using BootLoader loader = _machine.Boot(new BootSource { Kernel = kernel, Protocol = protocol });
        Assert.Equal(BootProtocol.Linux32, loader.Protocol);
        Assert.Equal(0x100_0000UL, _machine.State.Rip);
        Assert.Equal((0x11UL, 0UL), (_machine.State.Cr0, _machine.State.Cr4));
        Assert.Equal(new SegmentState(0x10, 0, uint.MaxValue, 0xc09b), _machine.State.Segments[1]);
        Assert.Contains(new MsrValue(0xc000_0080, 0), _machine.State.Msrs);
        Assert.Equal(0x00cf_9b00_0000_ffffUL, _machine.Read<ulong>(_machine.State.GdtBase + 0x10));
    }

    [Fact]
    public void TheInitrdStaysClearOfTheKernelsWorkingSpaceAndBelowItsLimit()
    {
        BootImage kernel = new LinuxImageBuilder().DoubleWord(0x260, 30 << 20).DoubleWord(0x22c, (50 << 20) - 1).Word(0x236, 1).ToImage();
        BootImage fits = BootImage.FromBytes(new byte[4 << 20], "initrd");
        using BootLoader loader = _machine.Boot(new BootSource { Kernel = kernel, Initrd = fits });
        Assert.Equal(46u << 20, _machine.Read<uint>(_machine.State.GeneralRegisters[Rsi] + 0x218));

        BootImage tooLarge = BootImage.FromBytes(new byte[(4 << 20) + 1], "big.img");
        string message = Refuse(new BootSource { Kernel = kernel, Initrd = tooLarge });
        Assert.Contains("'big.img' has 4194305 bytes", message, StringComparison.Ordinal);
        Assert.Contains("room for 4194304", message, StringComparison.Ordinal);
    }

    [Fact]
    public void ACommandLineThatIsTooLongOrOfManyLinesIsRefused()
    {
        BootImage kernel = new LinuxImageBuilder().DoubleWord(0x238, 10).ToImage();
        _machine.Boot(new BootSource { Kernel = kernel, CommandLine = "0123456789" }).Dispose();
        Assert.Contains("has 11 bytes; 'vmlinuz' accepts at most 10", Refuse(new BootSource { Kernel = kernel, CommandLine = "01234567890" }), StringComparison.Ordinal);
        Assert.Contains("one line is accepted", Refuse(new BootSource { Kernel = kernel, CommandLine = "a\nb" }), StringComparison.Ordinal);
    }

    [Fact]
    public void AMachineThatIsTooSmallIsRefused()
    {
        string message = Refuse(new BootSource { Kernel = new LinuxImageBuilder().DoubleWord(0x260, 100 << 20).ToImage() });
        Assert.Equal("'vmlinuz' needs RAM up to 116 MiB, and the machine's ends at 64 MiB.", message);
    }

    [Fact]
    public void UnsoundHeadersAreRefusedWithAReason()
    {
        Check(b => b.Word(0x206, 0x203), "boot protocol 2.03; 2.06 or newer is accepted");
        Check(b => b.Byte(0x211, 0), "zImage");
        Check(b => b.DoubleWord(0x1f4, 0x1000_0000), "truncated");
        Check(b => b.DoubleWord(0x1f4, 0), "truncated");
        Check(b => b.Byte(0x1f1, 255), "truncated");
        Check(b => b.QuadWord(0x258, ulong.MaxValue), "wants to be loaded at 0xffffffffffffffff");
        Check(b => b.QuadWord(0x258, 0x1000), "wants to be loaded at 0x1000");
        Check(b => b.QuadWord(0x258, 0x100_1000), "wants to be loaded at");
        Check(b => b.DoubleWord(0x260, uint.MaxValue), "needs RAM up to");
        Check(b => b.DoubleWord(0x202, 0), "is not a kernel");
        Check(b => b.Word(0x1fe, 0), "is not a kernel");
        Check(b => b.Word(0x236, 0), "has no 64-bit entry", BootProtocol.Linux64);
        Check(b => b, "has no PVH entry", BootProtocol.Pvh);
    }

    [Fact]
    public void ATruncatedOrDamagedImageNeverFailsOtherwise()
    {
        byte[] sound = new LinuxImageBuilder(0x400).ToBytes();
        Random random = new(1);
        for (int length = 0; length < sound.Length; length += random.Next(1, 97))
        {
            Assert.NotEmpty(Refuse(new BootSource { Kernel = BootImage.FromBytes(sound.AsMemory(0, length), "cut") }));
        }

        for (int round = 0; round < 300; round++)
        {
            byte[] damaged = (byte[])sound.Clone();
            for (int i = 0; i < 6; i++)
            {
                damaged[random.Next(0x1f1, 0x270)] = (byte)random.Next(256);
            }

            try
            {
                _machine.Boot(new BootSource { Kernel = BootImage.FromBytes(damaged, "damaged") }).Dispose();
            }
            catch (BootException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    private void Check(Func<LinuxImageBuilder, LinuxImageBuilder> change, string reason, BootProtocol protocol = BootProtocol.Automatic)
    {
        Assert.Contains(reason, Refuse(new BootSource { Kernel = change(new LinuxImageBuilder()).ToImage(), Protocol = protocol }), StringComparison.Ordinal);
    }

    private string Refuse(BootSource source) => Assert.Throws<BootException>(() => _machine.Boot(source)).Message;
}
