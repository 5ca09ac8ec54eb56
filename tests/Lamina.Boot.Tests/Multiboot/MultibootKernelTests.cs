using Lamina.Boot.Layout;
using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Multiboot;

public sealed class MultibootKernelTests : IDisposable
{
    private const int Rax = 0;
    private const int Rbx = 3;
    private static readonly byte[] s_code = [0xf4, 0xeb, 0xfd, 0x90];
    private readonly TestMemory _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void TheAddressFieldsSayWhatIsLoadedWhere()
    {
        Assert.True(_machine.Memory.TryWrite(0x20_0084, uint.MaxValue));
        using BootLoader loader = Boot(MultibootImageBuilder.Create(s_code, load: 0x20_0040, header: 0x20_0040, clearEnd: 0x20_2000, entry: 0x20_0081));
        Assert.Equal(BootProtocol.Multiboot, loader.Protocol);
        Assert.Equal(0x20_0081UL, _machine.State.Rip);
        Assert.Equal(0x1bad_b002u, _machine.Read<uint>(0x20_0040));
        Assert.Equal(s_code, _machine.ReadBytes(0x20_0080, 4));
        Assert.Equal(0u, _machine.Read<uint>(0x20_0084));
    }

    [Fact]
    public void AnElfFileIsLoadedByItsProgramHeaders()
    {
        byte[] image = ElfImageBuilder.Create(s_code, 0x8000, withNote: false, clearedLength: 0x1000, is64: false);
        MultibootImageBuilder.PutHeader(image, 0x400, 3);
        ElfImageBuilder.Put32(image, 24, 0x8002);
        using BootLoader loader = Boot(image);
        Assert.Equal(BootProtocol.Multiboot, loader.Protocol);
        Assert.Equal(0x8002UL, _machine.State.Rip);
        Assert.Equal(s_code, _machine.ReadBytes(0x8000, 4));
    }

    [Fact]
    public void AVirtualEntryIsTakenToItsPhysicalAddress()
    {
        byte[] image = ElfImageBuilder.Create(s_code, 0x20_0000, withNote: false, is64: false);
        MultibootImageBuilder.PutHeader(image, 0x400, 0);
        ElfImageBuilder.Put32(image, 24, 0xc020_0003);
        ElfImageBuilder.Put32(image, 52 + 32 + 8, 0xc020_0000);
        using BootLoader loader = Boot(image);
        Assert.Equal(0x20_0003UL, _machine.State.Rip);
    }

    [Fact]
    public void AnElfFileThatOffersBothIsEnteredByPvhUnlessMultibootIsAskedFor()
    {
        byte[] image = ElfImageBuilder.Create(s_code, 0x20_0000, is64: true);
        MultibootImageBuilder.PutHeader(image, 0x400, 0);
        ElfImageBuilder.Put64(image, 24, 0x20_0001);
        using BootLoader automatic = Boot(image);
        Assert.Equal(BootProtocol.Pvh, automatic.Protocol);
        using BootLoader asked = Boot(image, BootProtocol.Multiboot);
        Assert.Equal(BootProtocol.Multiboot, asked.Protocol);
        Assert.Equal(0x20_0001UL, _machine.State.Rip);
    }

    [Fact]
    public void TheEntryIsAsTheSpecificationSays()
    {
        BootSource source = new()
        {
            Kernel = BootImage.FromBytes(MultibootImageBuilder.Create(s_code), "kernel"),
            Initrd = BootImage.FromBytes(new byte[100], "module"),
            CommandLine = "one two=3",
        };
        using BootLoader loader = _machine.Boot(source, 0xf_0000);
        ProcessorState state = _machine.State;
        Assert.Equal((0x11UL, 0UL, 2UL), (state.Cr0, state.Cr4, state.Rflags));
        Assert.Equal(new SegmentState(0x10, 0, uint.MaxValue, 0xc09b), state.Segments[1]);
        Assert.All(new[] { 0, 2, 3, 4, 5 }, s => Assert.Equal(new SegmentState(0x18, 0, uint.MaxValue, 0xc093), state.Segments[s]));
        Assert.Equal(0x2bad_b002UL, state.GeneralRegisters[Rax]);

        ulong information = state.GeneralRegisters[Rbx];
        Assert.Equal(0b10_0100_1101u, _machine.Read<uint>(information));
        Assert.Equal((639u, 63u * 1024), (_machine.Read<uint>(information + 4), _machine.Read<uint>(information + 8)));
        Assert.Equal("one two=3", _machine.ReadText(_machine.Read<uint>(information + 16)));
        Assert.Equal(1u, _machine.Read<uint>(information + 20));
        ulong module = _machine.Read<uint>(information + 24);
        Assert.Equal(((64u << 20) - 4096, (64u << 20) - 4096 + 100), (_machine.Read<uint>(module), _machine.Read<uint>(module + 4)));
        Assert.Equal("initrd", _machine.ReadText(_machine.Read<uint>(module + 8)));
        Assert.Equal("Lamina", _machine.ReadText(_machine.Read<uint>(information + 64)));

        ulong entry = _machine.Read<uint>(information + 48);
        ulong end = entry + _machine.Read<uint>(information + 44);
        foreach (MemoryRange range in _machine.Layout.MemoryMap)
        {
            Assert.Equal(range, new MemoryRange(_machine.Read<ulong>(entry + 4), _machine.Read<ulong>(entry + 12), (MemoryRangeType)_machine.Read<uint>(entry + 20)));
            entry += _machine.Read<uint>(entry) + 4;
        }

        Assert.Equal(end, entry);
    }

    [Fact]
    public void WithoutAModuleThereIsNone()
    {
        Boot(MultibootImageBuilder.Create(s_code)).Dispose();
        Assert.Equal(0u, _machine.Read<uint>(_machine.State.GeneralRegisters[Rbx] + 20));
    }

    [Fact]
    public void UnsoundFilesAreRefusedWithAReason()
    {
        Check(MultibootImageBuilder.Create(s_code, flags: 0x1_0008), "requires features 0x8");
        Check(MultibootImageBuilder.Create(s_code, flags: 0), "without addresses, and is no ELF file");
        Check(MultibootImageBuilder.Create(s_code, header: 0xf_0000), "does not begin that early");
        Check(MultibootImageBuilder.Create(s_code, header: 0x10_0041), "does not begin that early");
        Check(MultibootImageBuilder.Create(s_code, header: uint.MaxValue), "does not begin that early");
        Check(MultibootImageBuilder.Create(s_code, loadEnd: 0xf_ffff), "which is before");
        Check(MultibootImageBuilder.Create(s_code, loadEnd: 0x10_0085), "is truncated: 133 bytes");
        Check(MultibootImageBuilder.Create(s_code, loadEnd: uint.MaxValue), "is truncated");
        Check(MultibootImageBuilder.Create(s_code, clearEnd: 0x10_0083), "cleared memory ends at 0x100083");
        Check(MultibootImageBuilder.Create(s_code, entry: 0x10_0084), "outside of what is loaded");
        Check(MultibootImageBuilder.Create(s_code, entry: 0xf_ffff), "outside of what is loaded");
        Check(MultibootImageBuilder.Create(s_code, load: 0x6fc0), "at physical address 0x6fc0");
        Check(MultibootImageBuilder.Create(s_code, load: 0x2_ffff), "at physical address 0x2ffff");
        Check(MultibootImageBuilder.Create(s_code, load: 0x9_0000, clearEnd: 0x9_fc01), "at physical address 0x90000");
        Check(MultibootImageBuilder.Create(s_code, clearEnd: uint.MaxValue), "needs RAM up to 4096 MiB");
        Check(MultibootImageBuilder.Create(s_code, load: 0xffff_ffb0, header: 0xffff_fff0), "at physical address 0xffffffb0");
        Check(MultibootImageBuilder.Create(s_code).AsSpan(0, MultibootImageBuilder.HeaderOffset + 20).ToArray(), "is truncated");
        byte[] noSegments = ElfImageBuilder.Create(s_code, withNote: false, is64: false);
        MultibootImageBuilder.PutHeader(noSegments, 0x400, 0);
        ElfImageBuilder.Put32(noSegments, 52 + 32, 6);
        Check(noSegments, "outside of what is loaded");
    }

    [Fact]
    public void AHeaderIsLookedForInTheFirst8KiBAlone()
    {
        byte[] image = new byte[16 << 10];
        MultibootImageBuilder.PutHeader(image, 8192 - 12, 0);
        Check(image, "without addresses");
        image = new byte[16 << 10];
        MultibootImageBuilder.PutHeader(image, 8192 - 8, 0);
        Check(image, "no boot header of Linux or Multiboot");
        image = new byte[16 << 10];
        MultibootImageBuilder.PutHeader(image, 42, 0);
        Check(image, "no boot header of Linux or Multiboot");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ADamagedFileNeverFailsOtherwise(bool isElf)
    {
        Random random = new(3);
        byte[] whole = isElf ? ElfImageBuilder.Create(new byte[64], withNote: false, is64: false) : MultibootImageBuilder.Create(new byte[64]);
        int header = isElf ? 0x400 : MultibootImageBuilder.HeaderOffset;
        int begin = isElf ? 4 : header + 12;
        if (isElf)
        {
            MultibootImageBuilder.PutHeader(whole, header, 0);
        }

        for (int round = 0; round < 1000; round++)
        {
            byte[] damaged = [.. whole];
            for (int i = 0; i < 3; i++)
            {
                damaged[random.Next(begin, isElf ? 120 : header + 32)] = random.Next(3) == 0 ? (byte)0xff : (byte)random.Next(256);
            }

            try
            {
                Boot(damaged.AsSpan(0, random.Next(3) == 0 ? random.Next(damaged.Length + 1) : damaged.Length).ToArray()).Dispose();
            }
            catch (BootException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    private BootLoader Boot(byte[] image, BootProtocol protocol = BootProtocol.Automatic) =>
        _machine.Boot(new BootSource { Kernel = BootImage.FromBytes(image, "kernel"), Protocol = protocol });

    private void Check(byte[] image, string reason) => Assert.Contains(reason, Assert.Throws<BootException>(() => Boot(image)).Message, StringComparison.Ordinal);
}
