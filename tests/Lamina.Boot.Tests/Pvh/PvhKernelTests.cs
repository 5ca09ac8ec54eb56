using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Pvh;

public sealed class PvhKernelTests : IDisposable
{
    private const int Rbx = 3;
    private readonly TestMemory _machine = new();

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheEntryIsAsTheProtocolSays(bool is64)
    {
        byte[] code = [0xf4, 0xeb, 0xfd, 0x90];
        Assert.True(_machine.Memory.TryWrite(0x20_0004, uint.MaxValue));
        BootSource source = new()
        {
            Kernel = BootImage.FromBytes(ElfImageBuilder.Create(code, 0x20_0000, 0x20_0001, clearedLength: 0x10_0000, is64), "vmlinux"),
            Initrd = BootImage.FromBytes(new byte[100], "initrd"),
            CommandLine = "quiet",
        };
        using BootLoader loader = _machine.Boot(source, 0xf_0000);
        ProcessorState state = _machine.State;
        Assert.Equal(BootProtocol.Pvh, loader.Protocol);
        Assert.Equal(0x20_0001UL, state.Rip);
        Assert.Equal((0x11UL, 0UL, 2UL), (state.Cr0, state.Cr4, state.Rflags));
        Assert.Equal(new SegmentState(0x10, 0, uint.MaxValue, 0xc09b), state.Segments[1]);
        Assert.Equal((0UL, 0x67u, 0x8bu), (state.TaskRegister.Base, state.TaskRegister.Limit, state.TaskRegister.Attributes));
        Assert.Equal(code, _machine.ReadBytes(0x20_0000, 4));
        Assert.Equal(0u, _machine.Read<uint>(0x20_0004));

        ulong start = state.GeneralRegisters[Rbx];
        Assert.Equal((0x336e_c578u, 1u, 0u, 1u), (_machine.Read<uint>(start), _machine.Read<uint>(start + 4), _machine.Read<uint>(start + 8), _machine.Read<uint>(start + 12)));
        ulong module = _machine.Read<ulong>(start + 16);
        Assert.Equal(((64UL << 20) - 4096, 100UL), (_machine.Read<ulong>(module), _machine.Read<ulong>(module + 8)));
        Assert.Equal("quiet", _machine.ReadText(_machine.Read<ulong>(start + 24)));
        Assert.Equal(0xf_0000UL, _machine.Read<ulong>(start + 32));
        ulong map = _machine.Read<ulong>(start + 40);
        Assert.Equal((uint)_machine.Layout.MemoryMap.Count, _machine.Read<uint>(start + 48));
        Assert.Equal(_machine.Layout.MemoryMap[3].Address, _machine.Read<ulong>(map + 3 * 24));
        Assert.Equal(_machine.Layout.MemoryMap[3].Length, _machine.Read<ulong>(map + 3 * 24 + 8));
        Assert.Equal(1u, _machine.Read<uint>(map + 3 * 24 + 16));
    }

    [Fact]
    public void UnsoundFilesAreRefusedWithAReason()
    {
        byte[] code = new byte[16];
        Check(ElfImageBuilder.Create(code, withNote: false), "without a PVH entry note");
        Check(ElfImageBuilder.Create(code, entry: 0x5000), "entry at 0x5000, outside");
        Check(ElfImageBuilder.Create(code, address: 0x1000), "physical address 0x1000");
        Check(ElfImageBuilder.Create(code, address: 1UL << 40), "physical address 0x10000000000");
        Check(ElfImageBuilder.Create(code, address: 100 << 20), "needs RAM up to 101 MiB");
        Check(Change(b => ElfImageBuilder.Put16(b, 18, 183)), "another processor (machine 183)");
        Check(Change(b => ElfImageBuilder.Put16(b, 16, 1)), "of type 1; an executable");
        Check(Change(b => ElfImageBuilder.Put16(b, 56, 0)), "0 program headers");
        Check(Change(b => ElfImageBuilder.Put16(b, 54, 8)), "of 8 bytes");
        Check(Change(b => ElfImageBuilder.Put64(b, 32, 1UL << 62)), "is truncated");
        Check(Change(b => ElfImageBuilder.Put64(b, 32, ulong.MaxValue)), "program headers");
        Check(Change(b => ElfImageBuilder.Put64(b, 64 + 56 + 8, 1UL << 62)), "is truncated: a segment");
        Check(Change(b => ElfImageBuilder.Put64(b, 64 + 56 + 40, 1)), "longer in the file");
        Check(Change(b => b[5] = 2), "little-endian");

        // The name of the second note is longer than all there is, by lengths whose sums go on at zero.
        Check(Change(b => ElfImageBuilder.Put32(b, ElfImageBuilder.NoteOffset + 28, uint.MaxValue - 7)), "without a PVH entry note");
        Check(Change(b => ElfImageBuilder.Put32(b, ElfImageBuilder.NoteOffset + 32, uint.MaxValue)), "without a PVH entry note");
        Check(ElfImageBuilder.Create(code), "entered by PVH only", BootProtocol.Linux64);

        byte[] Change(Action<byte[]> change)
        {
            byte[] bytes = ElfImageBuilder.Create(code);
            change(bytes);
            return bytes;
        }
    }

    [Fact]
    public void ADamagedFileNeverFailsOtherwise()
    {
        Random random = new(2);
        for (int round = 0; round < 500; round++)
        {
            byte[] damaged = ElfImageBuilder.Create(new byte[64]);
            for (int i = 0; i < 3; i++)
            {
                damaged[random.Next(4, 0x230)] = (byte)random.Next(256);
            }

            try
            {
                _machine.Boot(new BootSource { Kernel = BootImage.FromBytes(damaged.AsMemory(0, random.Next(damaged.Length + 1)), "damaged") }).Dispose();
            }
            catch (BootException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    private void Check(byte[] image, string reason, BootProtocol protocol = BootProtocol.Automatic)
    {
        BootSource source = new() { Kernel = BootImage.FromBytes(image, "vmlinux"), Protocol = protocol };
        Assert.Contains(reason, Assert.Throws<BootException>(() => _machine.Boot(source)).Message, StringComparison.Ordinal);
    }
}
