using Lamina.Machine.AddressSpaces;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Execute;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Blocks;

/// <summary>
/// Instructions at the end of what can be fetched: a page, a segment, the address space, RAM. Bytes that an instruction does not need may be anything; those that it needs and that are not there
/// decide its exception (Intel SDM volume 3, sections 4.7, 5.3 and 6.15; volume 2, section 2.3.11).
/// </summary>
public sealed unsafe class FetchTests : IDisposable
{
    private const int InvalidOpcode = 6;
    private const int Protection = 13;
    private const int PageFault = 14;
    private const int Done = 0x80;
    private const uint Fetch = 16;
    private readonly TestMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    // The page behind is absent.
    [Theory]
    [InlineData("0f0b", 2, InvalidOpcode)]
    [InlineData("06", 1, InvalidOpcode)] // undefined already by its first byte
    [InlineData("b8", 1, PageFault)]
    [InlineData("b8112233", 4, PageFault)]
    [InlineData("0f", 1, PageFault)]
    [InlineData("6666666666666666666666666666", 14, PageFault)]
    [InlineData("666666666666666666666666666666", 15, Protection)] // longer than any
    [InlineData("f4", 1, -1)]
    public void BeforeAPageThatIsAbsent(string code, int length, int expected)
    {
        _machine.EnterLong(0);
        uint page = _machine.Map(0, TestMachine.Frames | 3);
        _machine.Map(1, 0);
        _machine.Context->Cr2 = 0x1234;
        _machine.Load(TestMachine.Frames + 0x1000 - (uint)length, Convert.FromHexString(code));
        ulong rip = page + 0x1000 - (ulong)length;
        Assert.Equal(expected, _machine.Run(rip));
        Assert.Equal(expected == PageFault ? page + 0x1000UL : 0x1234, _machine.Context->Cr2);
        if (expected == PageFault)
        {
            // Instruction fetches are told apart only where pages may be closed to them (section 4.7: EFER.NXE is set here).
            Assert.Equal((Fetch, rip), (_machine.Frame(0), _machine.Frame(1)));
        }
    }

    // Execute-disable and supervisor pages behind: the fault is of the second page, and says why.
    [Theory]
    [InlineData(0x8000_0000_0000_0007UL, 0x15u)]
    [InlineData(3UL, 0x15u)]
    public void BeforeAPageThatIsClosed(ulong rights, uint code)
    {
        _machine.EnterLong(3);
        uint page = _machine.Map(0, TestMachine.Frames | 7);
        _machine.Map(1, (TestMachine.Frames + 0x1000) | rights);
        _machine.Load(TestMachine.Frames + 0xffe, 0xb8, 1, 2, 3, 4);
        Assert.Equal(PageFault, _machine.Run(page + 0xffe));
        Assert.Equal((code, page + 0x1000UL), ((uint)_machine.Frame(0), _machine.Context->Cr2));
    }

    [Fact]
    public void TheAddressSpaceEnds()
    {
        // The last page of the lower half, mapped to the first frame.
        _machine.EnterLong(0);
        const uint tables = 0x60_0000;
        _machine.At<ulong>(Layout.PageTables + (255 * 8)) = tables + 7;
        _machine.At<ulong>(tables + (511 * 8)) = tables + 0x1000 + 7;
        _machine.At<ulong>(tables + 0x1000 + (511 * 8)) = tables + 0x2000 + 7;
        _machine.At<ulong>(tables + 0x2000 + (511 * 8)) = TestMachine.Frames | 3;
        MemoryUnit.FlushTlb(_machine.Context);
        _machine.Load(TestMachine.Frames + 0xffd, 0x90, 0xb8, 0x11);
        Assert.Equal(Protection, _machine.Run(0x7fff_ffff_fffd));
        Assert.Equal((0UL, 0x7fff_ffff_fffeUL), (_machine.Frame(0), _machine.Frame(1)));
        _machine.EnterLong(0);
        _machine.Load(TestMachine.Frames + 0xffd, 0x90, 0x90, 0x90);
        Assert.Equal(Protection, _machine.Run(0x7fff_ffff_fffd));
        Assert.Equal((0UL, 0x8000_0000_0000UL), (_machine.Frame(0), _machine.Frame(1)));
    }

    // A code segment whose limit cuts the instruction: #GP(0), also where the bytes before would be undefined only with more.
    [Theory]
    [InlineData("40b811223344", 5, 1, Protection)]
    [InlineData("4040", 2, 2, Protection)] // the next one is all outside
    [InlineData("400f0b", 3, 1, InvalidOpcode)]
    [InlineData("400f0b", 2, 1, Protection)]
    public void TheSegmentEnds(string code, int room, int at, int expected)
    {
        _machine.EnterProtected(0);
        _machine.Load(Layout.Code, Convert.FromHexString(code));
        _machine.Context->Segments[SegmentRegister.Cs].Limit = Layout.Code + (uint)room - 1;
        ProcessorMode.Update(_machine.Context);
        Assert.Equal(expected, _machine.Run(Layout.Code));
        uint stack = (uint)_machine.Context->Registers[4];
        Assert.Equal(Layout.Code + (uint)at, _machine.At<uint>(expected == Protection ? stack + 4 : stack));
    }

    // Segments with a base, over two pages; the same bytes are not decoded twice, others are.
    [Fact]
    public void SegmentsWithABase()
    {
        _machine.EnterProtected(0);
        ProcessorContext* c = _machine.Context;
        c->Segments[SegmentRegister.Cs].Base = Layout.Code - 0x200;
        ProcessorMode.Update(c);
        _machine.Load(Layout.Code + 0xffe, 0xb8, 1, 0, 0, 0, 0xf4);
        Assert.Equal(-1, _machine.Run(0x11fe));
        Assert.Equal(1UL, c->Registers[0]);
        Assert.Equal(-1, _machine.Run(0x11fe));
        _machine.Load(Layout.Code + 0x1000, 9);
        _machine.Load(Layout.Code + 0xfff, 7);
        Assert.Equal(-1, _machine.Run(0x11fe));
        Assert.Equal(0x907UL, c->Registers[0]);
    }

    // Code in a device's registers, and from RAM into them.
    [Fact]
    public void CodeOfADevice()
    {
        const uint device = 0xfeb0_0000;
        _machine.Mmio.Map("code", device, 0x1000, new CodeDevice());
        _machine.EnterLong(0);
        uint page = _machine.Map(0, TestMachine.Frames | 3);
        _machine.Map(1, device | 3);

        // mov eax, 0x12345678 of which three bytes are the device's, and its inc eax; hlt.
        _machine.Load(TestMachine.Frames + 0xffe, 0xb8, 0x78);
        for (int n = 0; n < 3; n++)
        {
            Assert.Equal(-1, _machine.Run(page + 0xffe));
            Assert.Equal(0x1234_5679UL, _machine.Context->Registers[0]);
        }
    }

    // The interrupt controller's page is none of RAM, wherever it lies.
    [Fact]
    public void ThePageOfTheInterruptController()
    {
        FakeController controller = new() { PageAddress = TestMachine.Frames };
        _machine.EnterLong(0);
        _machine.Partition.ConnectInterruptController(_machine.Processor, controller);
        MemoryUnit.FlushTlb(_machine.Context);
        _machine.Context->Registers[3] = _machine.Map(0, TestMachine.Frames | 3);

        // mov eax, [rbx + 0x20]; mov [rbx + 0xb0], eax
        _machine.Load(Layout.Code, 0x8b, 0x43, 0x20, 0x89, 0x83, 0xb0, 0, 0, 0, 0xcd, Done);
        Assert.Equal(Done, _machine.Run(Layout.Code));
        Assert.Equal(["read 20 4", "write b0 55555555"], controller.Accesses);
        Assert.Equal(0UL, _machine.At<ulong>(TestMachine.Frames + 0xb0));
    }

    // LOCK and CMPXCHG16B of a device's registers.
    [Theory]
    [InlineData("480fc70b", true)]
    [InlineData("480fc70b", false)]
    public void CompareExchange16OfADevice(string code, bool equal)
    {
        const uint registers = 0xfeb0_0000;
        RamDevice device = new();
        _machine.Mmio.Map("ram", registers, 0x1000, device);
        _machine.EnterLong(0);
        ProcessorContext* c = _machine.Context;
        c->Registers[7] = _machine.Map(0, registers | 3);
        BitConverter.TryWriteBytes(device.Bytes, 5UL);
        BitConverter.TryWriteBytes(device.Bytes.AsSpan(8), 6UL);
        c->Registers[0] = equal ? 5UL : 4;
        c->Registers[2] = 6;
        c->Registers[3] = 7;
        c->Registers[1] = 8;
        _machine.Load(Layout.Code, [.. Convert.FromHexString(code.Replace("0b", "0f")), 0x0f, 0x94, 0xc3, 0xcd, Done]);
        Assert.Equal(Done, _machine.Run(Layout.Code));
        Assert.Equal(equal ? 1UL : 0, c->Registers[3] & 0xff);
        Assert.Equal(equal ? (7UL, 8UL) : (5, 6), (BitConverter.ToUInt64(device.Bytes), BitConverter.ToUInt64(device.Bytes, 8)));
        Assert.Equal((5UL, 6UL), (c->Registers[0], c->Registers[2]));
    }

    [Fact]
    public void CompareExchange16OfNoCanonicalAddress()
    {
        _machine.EnterLong(0);
        _machine.Context->Registers[3] = 0x8000_0000_0000;
        _machine.Load(Layout.Code, 0x48, 0x0f, 0xc7, 0x0b);
        Assert.Equal(Protection, _machine.Run(Layout.Code));
    }

    private sealed class CodeDevice : IRegisterWindow
    {
        private static readonly byte[] Code = [0x56, 0x34, 0x12, 0xff, 0xc0, 0xf4];

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            for (int n = 0; n < data.Length; n++)
            {
                data[n] = offset + (ulong)n < (ulong)Code.Length ? Code[(int)offset + n] : (byte)0x90;
            }

            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;
    }

    private sealed class RamDevice : IRegisterWindow
    {
        public byte[] Bytes { get; } = new byte[0x1000];

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            Bytes.AsSpan((int)offset, data.Length).CopyTo(data);
            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            data.CopyTo(Bytes.AsSpan((int)offset));
            return AccessResult.Done;
        }
    }
}
