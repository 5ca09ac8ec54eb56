using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Single step and debug registers (Intel SDM volume 3, chapter 18) on a running processor.</summary>
public sealed unsafe class DebugTests : IDisposable
{
    private const uint Code = Layout.Code;
    private const uint Data = TestMachine.Frames;
    private const int Debug = 1;
    private const int Done = 0x80;

    private readonly TestMachine _machine = new();

    public DebugTests() => _machine.EnterLong(0);

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData("90ffc090", "1 3 4")] // plain instructions
    [InlineData("f3a490", "0 0 2 3")] // each iteration of a repetition, with RCX = 3
    [InlineData("fb9090", "1 2 3")] // STI does not hold off the trap
    [InlineData("8ed09090", "3 4")] // MOV SS does
    [InlineData("eb019090", "3 4")] // a taken branch
    [InlineData("9c9d90", "1 2 3")] // PUSHF, POPF with TF still set
    [InlineData("f490", "1 2")] // HLT is woken by its own trap
    public void SingleStep(string code, string addresses)
    {
        byte[] bytes = Convert.FromHexString(code);
        _machine.Load(Code, [.. bytes, 0xcd, 0x80]);
        ulong* r = _machine.Context->Registers;
        r[0] = Layout.KernelData;
        r[1] = 3;
        r[6] = Data;
        r[7] = Data + 0x100;
        Flags.Set(_machine.Context, Flags.Trap | 2);
        List<string> seen = [];
        int vector = _machine.Run(Code);
        while (vector == Debug && seen.Count < 20)
        {
            Assert.Equal(0x4000UL, _machine.Context->Dr6 & 0xe00f);
            Assert.Equal(0u, _machine.Context->SystemFlags & Flags.Trap);
            Assert.Equal(Flags.Trap, _machine.Frame(2) & Flags.Trap);
            seen.Add((_machine.Frame(0) - Code).ToString());
            _machine.Context->Dr6 = DebugUnit.Dr6Fixed;
            vector = _machine.Continue();
        }

        Assert.Equal(addresses, string.Join(' ', seen));
        Assert.Equal(Done, vector);
        Assert.Equal(Code + (ulong)bytes.Length + 2, _machine.Frame(0));
    }

    [Theory]
    [InlineData(1, 0, 0u, "8803", true)]
    [InlineData(1, 0, 0u, "8a03", false)]
    [InlineData(3, 0, 0u, "8a03", true)]
    [InlineData(3, 0, 1u, "8a03", false)]
    [InlineData(1, 1, 0u, "884301", true)]
    [InlineData(1, 1, 1u, "8803", true)]
    [InlineData(1, 1, 0u, "884302", false)]
    [InlineData(1, 3, 0u, "884303", true)]
    [InlineData(1, 3, 0u, "884304", false)]
    [InlineData(1, 2, 0u, "884307", true)]
    [InlineData(1, 2, 0u, "884308", false)]
    [InlineData(1, 0, 7u, "488903", true)]
    [InlineData(1, 0, 8u, "488903", false)]
    [InlineData(1, 3, 8u, "48894307", true)]
    [InlineData(3, 0, 0xfffu, "488b83fb0f0000", true)]
    [InlineData(3, 0, 0x1000u, "488b83fb0f0000", true)]
    [InlineData(3, 0, 0x1003u, "488b83fb0f0000", false)]
    [InlineData(1, 0, 0u, "800301", true)]
    [InlineData(1, 0, 0u, "f0800301", true)]
    [InlineData(1, 0, 0u, "8603", true)]
    public void DataBreakpoint(int type, int length, uint offset, string code, bool hits)
    {
        byte[] bytes = Convert.FromHexString(code);
        _machine.Load(Code, [0x90, .. bytes, 0x90, 0x90, 0xcd, 0x80]);
        ProcessorContext* c = _machine.Context;
        c->Registers[3] = Data;
        c->DebugAddress[2] = Data + offset;
        c->Dr7 = 0x400 | (2UL << 4) | ((ulong)type << 24) | ((ulong)length << 26);
        DebugUnit.Update(c);
        int vector = _machine.Run(Code);
        Assert.Equal(hits ? Debug : Done, vector);
        if (hits)
        {
            // A trap: right after the instruction.
            Assert.Equal((Code + 1UL + (ulong)bytes.Length, 4UL), (_machine.Frame(0), c->Dr6 & 0xe00f));
            Assert.Equal(Done, _machine.Continue());
        }
    }

    [Fact]
    public void ADataBreakpointOfAStackSegmentLoadComesWithTheDebugInstructionBehindIt()
    {
        // mov ss, [rbx]; int1
        _machine.Load(Code, 0x8e, 0x13, 0xf1, 0xcd, 0x80);
        ProcessorContext* c = _machine.Context;
        c->Registers[3] = Data;
        *(ushort*)(_machine.Ram + Data) = Layout.KernelData;
        c->DebugAddress[2] = Data;
        c->Dr7 = 0x400 | (2UL << 4) | (3UL << 24);
        DebugUnit.Update(c);
        Assert.Equal(Debug, _machine.Run(Code));
        Assert.Equal((Code + 3UL, 4UL), (_machine.Frame(0), c->Dr6 & 0xe00f));
        Assert.Equal(Done, _machine.Continue());
    }

    [Fact]
    public void DataBreakpointInARepetition()
    {
        _machine.Load(Code, 0xf3, 0xaa, 0xcd, 0x80);
        ProcessorContext* c = _machine.Context;
        c->Registers[1] = 100;
        c->Registers[7] = Data;
        c->DebugAddress[0] = Data + 10;
        c->Dr7 = 0x400 | 2 | (1UL << 16);
        DebugUnit.Update(c);
        Assert.Equal(Debug, _machine.Run(Code));
        Assert.Equal((Code, 89UL, Data + 11UL), ((uint)_machine.Frame(0), c->Registers[1], c->Registers[7]));
        Assert.Equal(Done, _machine.Continue());
        Assert.Equal(0UL, c->Registers[1]);
    }

    [Fact]
    public void InstructionBreakpointAndResumeFlag()
    {
        // inc eax; inc eax (breakpoint); inc eax
        _machine.Load(Code, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xcd, 0x80);
        ProcessorContext* c = _machine.Context;
        c->DebugAddress[3] = Code + 2;
        c->Dr7 = 0x400 | (1UL << 6);
        DebugUnit.Update(c);
        Assert.Equal(Debug, _machine.Run(Code));
        Assert.Equal((Code + 2UL, 1UL, 8UL), (_machine.Frame(0), c->Registers[0], c->Dr6 & 0xe00f));

        // A fault: pushed with RF set, so that returning goes on.
        Assert.NotEqual(0UL, _machine.Frame(2) & Flags.Resume);
        Assert.Equal(Done, _machine.Continue());
        Assert.Equal(3UL, c->Registers[0]);
        Assert.Equal(0UL, _machine.Frame(2) & Flags.Resume);
    }

    [Fact]
    public void GeneralDetect()
    {
        _machine.Load(Code, 0x0f, 0x21, 0xc0, 0xcd, 0x80);
        ProcessorContext* c = _machine.Context;
        c->Dr7 = 0x2400;
        DebugUnit.Update(c);
        Assert.Equal(Debug, _machine.Run(Code));
        Assert.Equal((Code, 0x2000UL, 0x400UL), ((uint)_machine.Frame(0), c->Dr6 & 0xe00f, c->Dr7));
        Assert.Equal(Done, _machine.Continue());
    }
}
