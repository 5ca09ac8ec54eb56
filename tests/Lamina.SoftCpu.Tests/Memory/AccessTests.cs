using Lamina.Machine.AddressSpaces;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Memory;

/// <summary>Faults, TLB invalidation and device routing as programs see them.</summary>
public sealed unsafe class AccessTests : IDisposable
{
    private const int Done = 0x80;
    private const ulong EndOfAddresses = 0x8000_0000_0000;
    private const int Rbx = 3;
    private const int Rbp = 5;
    private const ulong SentinelRax = 0x1122_3344_5566_7788;

    private readonly TestMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    // Operations on 8 bytes at RBX that write.
    public static TheoryData<string> Writers => ["488903", "480103", "f0480103", "488703", "f0480fc103", "f0480fb10b", "480fba2b01", "48f713", "48d103", "8f03", "f30f1103", "48a5"];

    [Theory]
    [InlineData(0x5UL, 3, 0UL, "488903", 7u)]
    [InlineData(0x7UL, 3, 0UL, "488903", null)]
    [InlineData(0x3UL, 3, 0UL, "488b03", 5u)]
    [InlineData(0x0UL, 3, 0UL, "488b03", 4u)]
    [InlineData(0x6UL, 0, 0UL, "488903", 2u)]
    [InlineData(0x1UL, 0, 0UL, "488903", 3u)]
    [InlineData(0x7UL, 0, 0x20_0000UL, "488b03", 1u)]
    [InlineData(0x7UL, 0, 0x20_0000UL, "0f01cb488b03", null)]
    [InlineData(0x7UL, 0, 0x20_0000UL, "0f01cb0f01ca488b03", 1u)]
    [InlineData(0x7UL, 0, 0x10_0000UL, "ffe3", 0x11u)]
    [InlineData(0x8000_0000_0000_0007UL, 3, 0UL, "ffe3", 0x15u)]
    [InlineData(0x0008_0000_0000_0007UL, 3, 0UL, "488903", 0xfu)]
    public void ErrorCode(ulong bits, int cpl, ulong cr4, string code, uint? expected)
    {
        _machine.EnterLong((byte)cpl);
        _machine.Context->Cr4 |= cr4;
        uint linear = _machine.Map(0, TestMachine.Frames | bits);
        _machine.Context->Registers[Rbx] = linear + 8;
        _machine.At<ulong>(TestMachine.Frames + 8) = 0x80cd;
        int vector = Run(cpl, code);
        Assert.Equal(expected == null ? Done : 14, vector);
        if (expected != null)
        {
            Assert.Equal((expected, linear + 8UL), ((uint)_machine.Frame(0), _machine.Context->Cr2));
        }
    }

    [Theory]
    [MemberData(nameof(Writers))]
    public void CrossingIsAllOrNothing(string code)
    {
        for (int absent = 0; absent < 2; absent++)
        {
            _machine.EnterLong(3);
            _machine.Map(0, absent == 0 ? 0 : TestMachine.Frames | 7u);
            _machine.Map(1, absent == 1 ? 0 : (TestMachine.Frames + 0x1000) | 7u);
            new Span<byte>(_machine.Ram + TestMachine.Frames, 0x2000).Fill(0x5a);
            ProcessorContext* c = _machine.Context;
            for (int n = 0; n < 4; n++)
            {
                c->Registers[n] = SentinelRax;
            }

            c->Registers[Rbx] = TestMachine.Window + 0xffe;
            c->Registers[7] = TestMachine.Window + 0xffe;
            c->Registers[6] = TestMachine.UserStack;
            Assert.Equal(14, Run(3, code));
            Assert.Equal(absent == 0 ? TestMachine.Window + 0xffeUL : TestMachine.Window + 0x1000UL, c->Cr2);
            Assert.Equal(6UL, _machine.Frame(0) & 7);
            Assert.Equal(TestMachine.UserCode, _machine.Frame(1));
            Assert.Equal(TestMachine.UserStack, _machine.Frame(4));
            Assert.Equal(-1, new Span<byte>(_machine.Ram + TestMachine.Frames, 0x2000).IndexOfAnyExcept((byte)0x5a));
            Assert.Equal((SentinelRax, SentinelRax, SentinelRax), (c->Registers[0], c->Registers[1], c->Registers[2]));
        }
    }

    [Theory]
    [InlineData("488b03", 0x8000_0000_0000UL, 13)]
    [InlineData("488b03", 0x7fff_ffff_fffcUL, 13)]
    [InlineData("488903", 0xffff_7fff_ffff_fff8UL, 13)]
    [InlineData("488b4500", 0x8000_0000_0000UL, 12)]
    [InlineData("488be55090", 0x8000_0000_0100UL, 12)]
    [InlineData("ffe3", 0x8000_0000_0000UL, 13)]
    [InlineData("ffd3", 0x8000_0000_0000UL, 13)]
    [InlineData("53c3", 0x8000_0000_0000UL, 13)]
    public void NotCanonical(string code, ulong address, int vector)
    {
        _machine.EnterLong(3);
        _machine.Context->Registers[Rbx] = address;
        _machine.Context->Registers[Rbp] = address;
        Assert.Equal(vector, Run(3, code));
        Assert.Equal(0UL, _machine.Frame(0));
    }

    // What an operand's first bytes meet counts before the others are known to be at canonical addresses, as measured on an AMD EPYC (family 1AH).
    [Theory]
    [InlineData("db2b", 10, 8, 4u)] // fld m80
    [InlineData("db3b", 10, 8, 6u)] // fstp m80
    [InlineData("df23", 10, 8, 4u)] // fbld
    [InlineData("df33", 10, 8, 6u)] // fbstp
    [InlineData("dd03", 8, 8, 4u)] // fld m64
    [InlineData("dd1b", 8, 8, 6u)] // fstp m64
    [InlineData("d933", 28, 4, 6u)] // fnstenv
    [InlineData("66d933", 14, 2, 6u)]
    [InlineData("d923", 28, 4, 4u)] // fldenv
    [InlineData("66d923", 14, 2, 4u)]
    [InlineData("dd33", 108, 4, 6u)] // fnsave
    [InlineData("66dd33", 94, 2, 6u)]
    [InlineData("dd23", 108, 4, 4u)] // frstor
    [InlineData("66dd23", 94, 2, 4u)]
    [InlineData("0fb403", 6, 4, 4u)] // lfs
    [InlineData("660fb403", 4, 2, 4u)]
    [InlineData("ff2b", 6, 4, 4u)] // jmp m16:32
    [InlineData("66ff2b", 4, 2, 4u)]
    [InlineData("0f010b", 10, 2, 6u)] // sidt
    [InlineData("0f1003", 16, 16, 4u)] // movups
    [InlineData("0f1103", 16, 16, 6u)]
    [InlineData("c5fc1003", 32, 32, 4u)] // vmovups
    [InlineData("c5fc1103", 32, 32, 6u)]
    [InlineData("488b03", 8, 8, 4u)]
    [InlineData("480103", 8, 8, 6u)]
    public void FirstPartBeforeTheEndOfTheAddresses(string code, int size, int first, uint errorCode)
    {
        for (int before = 1; before < size + 2; before++)
        {
            Assert.Equal(before < first ? (13, 0u, 0UL) : (14, errorCode, EndOfAddresses - (ulong)before), RunBeforeTheEnd(code, before));
        }
    }

    [Theory]
    [InlineData("0fae03", 512, 512, 16, 6u)] // fxsave
    [InlineData("0fae0b", 512, 512, 16, 4u)] // fxrstor
    [InlineData("0fae23", 832, 64, 64, 6u)] // xsave
    [InlineData("0fae33", 832, 64, 64, 6u)] // xsaveopt
    [InlineData("0fc723", 832, 64, 64, 6u)] // xsavec
    [InlineData("0fae2b", 832, 64, 64, 4u)] // xrstor
    public void WholeStatesBeforeTheEndOfTheAddresses(string code, int size, int first, int alignment, uint errorCode)
    {
        for (int before = alignment; before < size + alignment; before += alignment)
        {
            Assert.Equal(before < first ? (13, 0u, 0UL) : (14, errorCode, EndOfAddresses - (ulong)before), RunBeforeTheEnd(code, before));
            Assert.Equal((13, 0u, 0UL), RunBeforeTheEnd(code, before + 8));
        }
    }

    [Fact]
    public void InvalidatePage()
    {
        // mov rax,[rbx]; mov [rcx],rdx; (invlpg [rbx]); mov rsi,[rbx]: RCX is where the page-table entry lies.
        _machine.EnterLong(0);
        uint linear = _machine.Map(0, TestMachine.Frames | 3);
        _machine.At<ulong>(TestMachine.Frames) = 1;
        _machine.At<ulong>(TestMachine.Frames + 0x1000) = 2;
        ProcessorContext* c = _machine.Context;
        c->Registers[Rbx] = linear;
        c->Registers[1] = Layout.PageTables + 0x5000;
        c->Registers[2] = (TestMachine.Frames + 0x1000) | 3;
        Assert.Equal(Done, Run(0, "488b03488911" + "0f013b" + "488b33"));
        Assert.Equal((1UL, 2UL), (c->Registers[0], c->Registers[6]));
    }

    [Theory]
    [InlineData("0f20d80f22d8", 0x1UL)]
    [InlineData("0f20e04835800000000f22e04835800000000f22e0", 0x101UL)]
    [InlineData("b803000000660f38820424", 0x1UL)]
    [InlineData("b802000000660f38820424", 0x101UL)]
    public void OtherInvalidations(string flush, ulong bits) => Assert.Equal((1UL, 2UL), AcrossRemapping(flush, bits));

    [Theory]
    [InlineData("0f20d80f22d8")]
    [InlineData("b803000000660f38820424")]
    public void GlobalPagesOutlive(string flush) => Assert.Equal((1UL, 1UL), AcrossRemapping(flush, 0x101));

    // What is read through a page before and after its entry changes and something is flushed.
    private (ulong Before, ulong After) AcrossRemapping(string flush, ulong bits)
    {
        _machine.EnterLong(0);
        _machine.Context->Cr4 |= 0x80;
        uint linear = _machine.Map(0, TestMachine.Frames | bits | 2);
        _machine.At<ulong>(TestMachine.Frames) = 1;
        _machine.At<ulong>(TestMachine.Frames + 0x1000) = 2;
        ProcessorContext* c = _machine.Context;
        c->Registers[Rbx] = linear;
        c->Registers[1] = Layout.PageTables + 0x5000;
        c->Registers[2] = (TestMachine.Frames + 0x1000) | bits | 2;
        Assert.Equal(Done, Run(0, "488b3b488911" + flush + "488b33"));
        return (c->Registers[7], c->Registers[6]);
    }

    [Fact]
    public void InvalidateLargePageAnywhere()
    {
        // Two addresses of one 2 MiB page; INVLPG names a third.
        _machine.EnterLong(0);
        ulong entry = Layout.PageTables + 0x4008;
        _machine.At<ulong>(entry) = 0x60_0083;
        _machine.At<ulong>(0x60_1000) = 1;
        _machine.At<ulong>(0x80_1000) = 2;
        ProcessorContext* c = _machine.Context;
        c->Registers[Rbx] = 0x4020_1000;
        c->Registers[1] = entry;
        c->Registers[2] = 0x80_0083;
        Assert.Equal(Done, Run(0, "488b03488911" + "0f01bb00500000" + "488b33"));
        Assert.Equal((1UL, 2UL), (c->Registers[0], c->Registers[6]));
    }

    [Fact]
    public void DirtyAgainAfterInvalidation()
    {
        _machine.EnterLong(3);
        uint linear = _machine.Map(0, TestMachine.Frames | 7);
        _machine.Context->Registers[Rbx] = linear;
        Assert.Equal(Done, Run(3, "488b03"));
        Assert.Equal(0x20UL, _machine.Entry(0) & 0x60);
        _machine.EnterLong(3);
        _machine.Context->Registers[Rbx] = linear;
        Assert.Equal(Done, Run(3, "488903"));
        Assert.Equal(0x60UL, _machine.Entry(0) & 0x60);
        _machine.Map(0, TestMachine.Frames | 7);
        _machine.EnterLong(3);
        _machine.Context->Registers[Rbx] = linear;
        Assert.Equal(Done, Run(3, "488b03488903"));
        Assert.Equal(0x60UL, _machine.Entry(0) & 0x60);
    }

    [Theory]
    [InlineData("488b4301", 3, true)]
    [InlineData("668b4301", 3, true)]
    [InlineData("8a4301", 3, false)]
    [InlineData("8b4304", 3, false)]
    [InlineData("488b4304", 3, true)]
    [InlineData("488b4301", 0, false)]
    public void AlignmentCheck(string code, int cpl, bool faults)
    {
        _machine.EnterLong((byte)cpl);
        _machine.Context->Cr0 |= 1 << 18;
        Flags.Set(_machine.Context, Flags.AlignmentCheck | 2);
        _machine.Context->Registers[Rbx] = _machine.Map(0, TestMachine.Frames | 7);
        ProcessorMode.Update(_machine.Context);
        Assert.Equal(faults ? 17 : Done, Run(cpl, code));
        Assert.True(!faults || _machine.Frame(0) == 0);
    }

    [Fact]
    public void Devices()
    {
        Device device = new();
        _machine.Mmio.Map("test", 0xfeb0_0000, 0x1000, device);
        _machine.EnterLong(0);
        ProcessorContext* c = _machine.Context;
        c->Registers[Rbx] = _machine.Map(0, 0xfeb0_0003);
        c->Registers[Rbp] = _machine.Map(1, 0xfec0_0003);

        // mov eax,[rbx+4]; mov word [rbx+8],0x1234; lock add dword [rbx+16],1; mov rsi,[rbp]
        Assert.Equal(Done, Run(0, "8b430466c743083412" + "f083431001" + "488b7500"));
        Assert.Equal(["read 4 4", "write 8 3412", "read 16 4", "write 16 15000000"], device.Log);
        Assert.Equal((4UL, ulong.MaxValue), (c->Registers[0], c->Registers[6]));
    }

    // What an access of a page that is not there, so many bytes before the lower half of the address space ends, is.
    private (int Vector, uint Code, ulong Address) RunBeforeTheEnd(string code, int before)
    {
        const ulong FxsrAndXsave = (1 << 9) | (1 << 18);
        _machine.EnterLong(3);
        ProcessorContext* c = _machine.Context;
        c->Cr2 = 0;
        c->Cr4 |= FxsrAndXsave;
        c->Xcr0 = 7;
        ProcessorMode.Update(c);
        c->Registers[0] = 7;
        c->Registers[2] = 0;
        c->Registers[Rbx] = EndOfAddresses - (ulong)before;
        int vector = Run(3, code);
        return (vector, (uint)_machine.Frame(0), c->Cr2);
    }

    private int Run(int cpl, string code)
    {
        uint address = cpl == 0 ? Layout.Code : TestMachine.UserCode;
        _machine.Load(address, [.. Convert.FromHexString(code), 0xcd, 0x80]);
        return _machine.Run(address);
    }

    private sealed class Device : IRegisterWindow
    {
        public List<string> Log { get; } = [];

        public AccessResult Read(ulong offset, Span<byte> data)
        {
            Log.Add($"read {offset} {data.Length}");
            data.Clear();
            data[0] = (byte)(offset == 16 ? 20 : offset);
            return default;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            Log.Add($"write {offset} {Convert.ToHexString(data)}");
            return default;
        }
    }
}
