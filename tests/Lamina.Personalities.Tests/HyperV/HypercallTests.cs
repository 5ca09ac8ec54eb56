using System.Buffers.Binary;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.Tests.Fakes;

namespace Lamina.Personalities.Tests.HyperV;

/// <summary>Flushes, registers by name, extended calls, and parameters in XMM registers.</summary>
public sealed class HypercallTests : IDisposable
{
    private const ulong Input = GuestRam.Start + 0x2000;
    private const ulong Output = GuestRam.Start + 0x3000;
    private const ulong Fast = 1 << 16;
    private const ulong OneElement = 1UL << 32;
    private readonly TestHost _host = new();
    private readonly RecordingCaller _caller = new();
    private readonly HyperVPersonality _hypervisor;
    private readonly ulong[] _registers = new ulong[16];
    private ICallingProcessor? _other;

    public HypercallTests()
    {
        _hypervisor = new HyperVPersonality(_host.CreateSettings());
        Assert.True(_hypervisor.TryWriteMsr(0, 0, HyperVMsr.GuestOsId, 1));
        Assert.True(_hypervisor.TryWriteMsr(0, 0, HyperVMsr.Hypercall, GuestRam.Start | 1));
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void AnAddressSpaceIsFlushedOnAMaskOfProcessors()
    {
        Assert.Equal(0UL, Call(2, 0x1234_5000, 4, 0b10));
        Assert.Equal(0UL, Call(2, 0, 0, 0b11));
        Assert.Equal(0UL, Call(2, 0, 1, 0));
        Assert.Equal([(0b10UL, false), (0b11UL, true), (ulong.MaxValue, true)], _caller.Drops.Select(static d => (d.Processors, d.WithGlobal)));
        Assert.All(_caller.Drops, static d => Assert.Empty(d.Pages));
        Assert.Equal(5UL, Call(2, 0, 0x10, 1));
        Assert.Equal(3UL, Call(2 | OneElement, 0, 0, 1));
        Assert.Equal(3, _caller.Drops.Count);
    }

    [Fact]
    public void AListOfPagesIsFlushedFromWhereTheCallerHasGotTo()
    {
        Assert.Equal(2UL << 32, Call(3 | (2 * OneElement), 0, 0, 0b10, 0xffff_8000_0000_1000, 0x7000_0002));
        Assert.Equal([0xffff_8000_0000_1000, 0x7000_0000, 0x7000_1000, 0x7000_2000], _caller.Drops[0].Pages);
        Assert.Equal(2UL << 32, Call(3 | (2 * OneElement) | (1UL << 48), 0, 0, 0b10, 0x1000, 0x2000));
        Assert.Equal([0x2000UL], _caller.Drops[1].Pages);

        // Many pages, or large ones: everything.
        Assert.Equal(1UL << 32, Call(3 | OneElement, 0, 4, 0b10, 0xfff));
        Assert.Equal(1UL << 32, Call(3 | OneElement, 0, 8, 0b10, 0x801));
        Assert.All(_caller.Drops[2..], static d => Assert.True(d is { WithGlobal: true, Pages: [] }));
        Assert.Equal(3UL, Call(3, 0, 0, 1));
        Assert.Equal(3UL, Call(3 | OneElement | (1UL << 48), 0, 0, 1));
        Assert.Equal(5UL, Call(3 | OneElement, 0, 0x10, 1, 0));

        // Elements that do not fit into the page.
        Assert.Equal(4UL, Call(3 | (600 * OneElement), 0, 0, 1));
        Assert.Equal(4, _caller.Drops.Count);
    }

    [Fact]
    public void SetsOfProcessorsAreFlushedToo()
    {
        const ulong OneBank = 1 << 17;
        Assert.Equal(0UL, Call(0x13 | OneBank, 0, 4, 0, 1, 0b10));
        Assert.Equal(1UL << 32, Call(0x14 | OneBank | OneElement, 0, 0, 0, 1, 0b11, 0x5000));
        Assert.Equal(0UL, Call(0x13, 0, 0, 1, 0));
        Assert.Equal([0b10UL, 0b11UL, ulong.MaxValue], _caller.Drops.Select(static d => d.Processors));
        Assert.Equal([0x5000UL], _caller.Drops[1].Pages);
        Assert.Equal(5UL, Call(0x13 | OneBank, 0, 0, 0, 3, 1));
        Assert.Equal(5UL, Call(0x13, 0, 0, 2, 0));
        Assert.Equal(3, _caller.Drops.Count);
    }

    [Fact]
    public void ParametersMayBeInVectorRegisters()
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_caller.Vectors, 0b10);
        BinaryPrimitives.WriteUInt64LittleEndian(_caller.Vectors.AsSpan(8), 0x9000);
        Assert.Equal(0UL, Execute(2 | Fast, 0, 4));
        Assert.Equal(1UL << 32, Execute(3 | Fast | OneElement, 0, 0));
        Assert.Equal([(0b10UL, 0), (0b10UL, 1)], _caller.Drops.Select(static d => (d.Processors, d.Pages.Length)));
        Assert.Equal(0x9000UL, _caller.Drops[1].Pages[0]);

        // 7 pairs of registers hold 11 elements behind a header of 24 bytes.
        Assert.Equal(11UL << 32, Execute(3 | Fast | (11 * OneElement), 0, 0));
        Assert.Equal(3UL, Execute(3 | Fast | (12 * OneElement), 0, 0));

        // What is given is behind what was taken: the header is in two registers, the name in XMM0, the value in XMM1.
        BinaryPrimitives.WriteUInt32LittleEndian(_caller.Vectors, 0x0009_0002);
        Assert.Equal(1UL << 32, Execute(0x50 | Fast | OneElement, ulong.MaxValue, 0xffff_fffe));
        Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(_caller.Vectors.AsSpan(16)));
        Array.Fill(_caller.Vectors, (byte)0xff);
        Assert.Equal(0UL, Execute(0x8001 | Fast, 0, 0));
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(_caller.Vectors));
    }

    [Fact]
    public void RegistersHaveNames()
    {
        Assert.Equal(2UL << 32, Call(0x50 | (2 * OneElement), ulong.MaxValue, 1, 0x0009_0003_0000_0100));
        Assert.Equal(20348u, _host.Ram.Get<uint>(Output));
        Assert.Equal(1UL, _host.Ram.Get<ulong>(Output + 16));
        Assert.Equal(1UL << 32, Call(0x51 | OneElement, ulong.MaxValue, 0xffff_fffe, 0x210, 0, 77));
        Assert.True(_hypervisor.TryReadMsr(0, 0, HyperVMsr.CrashFirst, out ulong crash));
        Assert.Equal(77UL, crash);

        // The second is unknown: the first is done.
        Assert.Equal(5UL | (1UL << 32), Call(0x50 | (2 * OneElement), ulong.MaxValue, 0, 0x0002_0000_0009_0002));
        Assert.Equal(1UL, _host.Ram.Get<ulong>(Output));
        Assert.Equal(13UL, Call(0x50 | OneElement, 1, 0, 0x100));
        Assert.Equal(14UL, Call(0x50 | OneElement, ulong.MaxValue, 2, 0x100));
        Assert.Equal(5UL, Call(0x50 | OneElement, ulong.MaxValue, 1UL << 32, 0x100));
        Assert.Equal(21UL, Call(0x51 | OneElement, ulong.MaxValue, 1, 0x210, 0, 77));
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0009_0003, 0, 77));
    }

    [Fact]
    public void TheCallersOwnRegistersHaveNamesToo()
    {
        KnownCaller caller = new();
        _other = caller;
        ProcessorState state = caller.State;
        state.GeneralRegisters[5] = 0x55;
        (state.Rip, state.Rflags) = (0x1_0000_1234, 0x246);
        (state.Cr0, state.Cr2, state.Cr3, state.Cr4, state.Cr8, state.Xcr0) = (1, 2, 3, 4, 5, 7);
        (state.DebugRegisters[0], state.DebugRegisters[4], state.DebugRegisters[5]) = (0xd0, 0xd6, 0xd7);
        state.Segments[1] = new SegmentState(0x10, 0x1_0000_0000, 0xffff_ffff, 0xa09b);
        state.LocalDescriptorTable = new SegmentState(0, 0, 0, 0x1_0082);
        state.TaskRegister = new SegmentState(0x40, 0x7000, 0x67, 0x8b);
        (state.GdtBase, state.GdtLimit, state.IdtBase, state.IdtLimit) = (0x6000, 0x7f, 0x5000, 0xfff);
        for (int i = 0; i < state.XsaveArea.Length; i++)
        {
            state.XsaveArea[i] = (byte)i;
        }

        caller.Msrs[0xc000_0082] = 0x1234_5678_9abc;
        caller.Msrs[0x20b] = 0x7ff;
        (uint Name, ulong Low, ulong High)[] expected =
        [
            (0x0002_0005, 0x55, 0), (0x0002_0010, 0x1_0000_1234, 0), (0x0002_0011, 0x246, 0),
            (0x0003_0001, 0xb7b6_b5b4_b3b2_b1b0, 0xbfbe_bdbc_bbba_b9b8), (0x0003_0011, 0x3736_3534_3332_3130, 0x3938),
            (0x0003_0018, 0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908), (0x0003_0019, 0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918),
            (0x0004_0000, 1, 0), (0x0004_0001, 2, 0), (0x0004_0002, 3, 0), (0x0004_0003, 4, 0), (0x0004_0004, 5, 0), (0x0004_0005, 7, 0),
            (0x0005_0000, 0xd0, 0), (0x0005_0004, 0xd6, 0), (0x0005_0005, 0xd7, 0),
            (0x0006_0001, 0x1_0000_0000, 0xa09b_0010_ffff_ffff), (0x0006_0006, 0, 0x0002_0000_0000_0000), (0x0006_0007, 0x7000, 0x008b_0040_0000_0067),
            (0x0007_0000, 0x0fff_0000_0000_0000, 0x5000), (0x0007_0001, 0x007f_0000_0000_0000, 0x6000),
            (0x0008_0009, 0x1234_5678_9abc, 0), (0x0008_0045, 0x7ff, 0), (0x0008_000c, 0, 0),
        ];
        foreach ((uint name, ulong low, ulong high) in expected)
        {
            Assert.True(Call(0x50 | OneElement, ulong.MaxValue, 0xffff_fffe, name) == 1UL << 32, $"{name:x} is refused.");
            Assert.True((low, high) == (_host.Ram.Get<ulong>(Output), _host.Ram.Get<ulong>(Output + 8)), $"{name:x} is {_host.Ram.Get<ulong>(Output):x} {_host.Ram.Get<ulong>(Output + 8):x}.");
        }

        // Registers of both kinds in one call; those that there are not; another processor's, which runs.
        Assert.Equal(2UL << 32, Call(0x50 | (2 * OneElement), ulong.MaxValue, 0, 0x0002_0010_0009_0003));
        Assert.Equal((0UL, 0x1_0000_1234UL), (_host.Ram.Get<ulong>(Output), _host.Ram.Get<ulong>(Output + 16)));
        foreach (uint name in new uint[] { 0x0002_0012, 0x0003_001a, 0x0004_0006, 0x0005_0006, 0x0006_0008, 0x0007_0002, 0x0008_0008, 0x0008_0020, 0x0008_ffff })
        {
            Assert.True(Call(0x50 | OneElement, ulong.MaxValue, 0, name) == 5, $"{name:x} is taken.");
        }

        Assert.Equal(21UL, Call(0x50 | OneElement, ulong.MaxValue, 1, 0x0002_0000));
    }

    [Fact]
    public void OfTheCallersOwnRegistersThoseAreWrittenThatTheCallDoesNotConsistOf()
    {
        KnownCaller caller = new();
        _other = caller;
        caller.Msrs[0xc000_0102] = 0;
        Assert.Equal(3UL << 32, Call(0x51 | (3 * OneElement), ulong.MaxValue, 0, 0x0002_0006, 0, 66, 0, 0x0003_0002, 0, 1, 2, 0x0008_0002, 0, 0xffff_8000_0000_0000, 0));
        Assert.Equal((66UL, 0xffff_8000_0000_0000), (_registers[6], caller.Msrs[0xc000_0102]));
        Assert.Equal((1UL, 2UL), (BinaryPrimitives.ReadUInt64LittleEndian(caller.Vectors.AsSpan(32)), BinaryPrimitives.ReadUInt64LittleEndian(caller.Vectors.AsSpan(40))));
        foreach (uint name in new uint[] { 0x0002_0010, 0x0002_0011, 0x0003_0010, 0x0003_0019, 0x0004_0000, 0x0004_0002, 0x0005_0005, 0x0006_0001, 0x0006_0007, 0x0007_0000, 0x0007_0001 })
        {
            Assert.True(Call(0x51 | OneElement, ulong.MaxValue, 0, name, 0, 1, 0) == 21, $"{name:x} is written.");
        }

        // Unknown, not there, only to be read, longer than it is; another processor's.
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0002_0012, 0, 1, 0));
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0008_0009, 0, 1, 0));
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0008_000c, 0, 1, 0));
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0002_0006, 0, 1, 1));
        Assert.Equal(5UL, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0008_0002, 0, 1, 1));
        Assert.Equal(21UL, Call(0x51 | OneElement, ulong.MaxValue, 1, 0x0002_0006, 0, 1, 0));
    }

    [Fact]
    public void RegistersOfTheLocalApicAreTheCallersOwn()
    {
        TestController controller = new();
        _hypervisor.Connect(0, new RecordingSignals(), controller);
        _hypervisor.Connect(1, new RecordingSignals(), new TestController());
        Assert.Equal(1UL << 32, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0009_0012, 0, 0x60));
        Assert.Equal(6, controller.TaskPriorityClass);
        Assert.Equal(1UL << 32, Call(0x50 | OneElement, ulong.MaxValue, 0, 0x0009_0012));
        Assert.Equal(0x60UL, _host.Ram.Get<ulong>(Output));
        Assert.Equal(1UL << 32, Call(0x51 | OneElement, ulong.MaxValue, 0, 0x0009_0010, 0, 0));
        Assert.Equal((0xb0UL, 0u), controller.Written[^1]);

        // Another's is its own processor's business, and an end of interrupt has no value.
        Assert.Equal(5UL, Call(0x50 | OneElement, ulong.MaxValue, 1, 0x0009_0012));
        Assert.Equal(5UL, Call(0x50 | OneElement, ulong.MaxValue, 0, 0x0009_0010));
    }

    [Fact]
    public void ExtendedCallsAreNone()
    {
        _host.Ram.Set(Output, ulong.MaxValue);
        Assert.Equal(0UL, Execute(0x8001, 0, Output));
        Assert.Equal(0UL, _host.Ram.Get<ulong>(Output));
        Assert.Equal(2UL, Execute(0x8002, 0, Output));
        Assert.Equal(4UL, Execute(0x8001, 0, Output + 1));
        Assert.Equal(4UL, Execute(0x8001, 0, 0xdead_0000));
        Assert.Equal(0UL, Execute(8 | Fast, 100, 0));
        Assert.Equal(1, _caller.Waits);
    }

    [Fact]
    public void FreeMemoryIsReported()
    {
        Recorder recorder = new();
        Assert.Equal(2UL, Call(0x8003 | OneElement, 2, 0));
        _hypervisor.TakeFreePages(recorder);
        Assert.Equal(0UL, Execute(0x8001, 0, Output));
        Assert.Equal(0x100UL, _host.Ram.Get<ulong>(Output));

        // A page and the one behind it, and 2 MiB of which all is RAM.
        Assert.Equal(2UL << 32, Call(0x8003 | (2 * OneElement), 2, (GuestRam.Start + 0x1_0000) | 1, 0x20_0800));
        Assert.Equal([(GuestRam.Start + 0x1_0000, 0x2000u), (0x20_0000UL, 0x20_0000u)], recorder.Taken);
        Assert.Equal(0x20_2000UL, _hypervisor.ReportedBytes);
        Assert.Equal(5UL, Call(0x8003 | OneElement, 1, 0x20_0800));
        Assert.Equal(5UL, Call(0x8003 | OneElement, 2, ulong.MaxValue));
        Assert.Equal(5UL, Call(0x8003 | OneElement, 2, 0xdead_0000));
        Assert.Equal(1UL << 32, Call(0x8003 | OneElement, 2, 0x1000));
        Assert.Equal(5UL | (1UL << 32), Call(0x8003 | (2 * OneElement), 2, 0x800 + 0x3ff, 0x800 + 0x3ff));
    }

    [Fact]
    public void InterruptsAreEndedByTheAssistPage()
    {
        FlaggedController controller = new();
        _hypervisor.Connect(1, new RecordingSignals(), controller);
        Assert.False(controller.Flag!.TryRaise());
        Assert.True(_hypervisor.TryWriteMsr(1, 0, HyperVMsr.VpAssistPage, Output | 1));
        Assert.True(controller.Flag.TryRaise());
        Assert.Equal(1u, _host.Ram.Get<uint>(Output));
        _host.Ram.Set(Output, 0u);
        Assert.False(controller.Flag.Lower());

        // The page is cleared where it is put: the flag is taken down before, so that the guest tells.
        Assert.True(controller.Flag.TryRaise());
        controller.Settled = null;
        Assert.True(_hypervisor.TryWriteMsr(1, 0, HyperVMsr.VpAssistPage, Output | 1));
        Assert.True(controller.Settled);
        Assert.True(_hypervisor.TryWriteMsr(1, 0, HyperVMsr.VpAssistPage, Output));
        Assert.False(controller.Flag.TryRaise());
    }

    private sealed class Recorder : Lamina.Machine.Backends.IMemoryReclaimer
    {
        public List<(ulong Address, uint Length)> Taken { get; } = [];

        public void Reclaim(Lamina.Machine.Backends.GuestBuffer pages) => Taken.Add((pages.Address, pages.Length));
    }

    private ulong Call(ulong control, params ReadOnlySpan<ulong> input)
    {
        for (int i = 0; i < input.Length; i++)
        {
            _host.Ram.Set(Input + ((ulong)i * 8), input[i]);
        }

        return Execute(control, Input, Output);
    }

    private ulong Execute(ulong control, ulong first, ulong second)
    {
        (_registers[GuestCall.Rcx], _registers[GuestCall.Rdx], _registers[GuestCall.R8]) = (control, first, second);
        Assert.True(_hypervisor.TryHypercall(new GuestCall(0, _registers, 0, is64Bit: true, caller: _other ?? _caller)));
        return _registers[GuestCall.Rax];
    }
}
