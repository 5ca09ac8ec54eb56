using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>When interrupts come: shadows, HLT, NMI blocking, priorities, INIT and start-up.</summary>
public sealed unsafe class InterruptTests : IDisposable
{
    private const uint Code = Layout.Code;
    private const int NonMaskable = 2;
    private const int Done = 0x80;
    private const byte Vector = 0x41;

    private readonly TestMachine _machine = new(2);
    private readonly FakeController _controller = new();

    public InterruptTests()
    {
        _machine.EnterLong(0);
        _machine.Partition.ConnectInterruptController(_machine.Processor, _controller);
    }

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData("fb9090", 2)] // one instruction after STI
    [InlineData("fbfb90", 2)]
    [InlineData("fb8ed090", 3)]
    [InlineData("fbfa9090cd80", -1)] // STI, CLI: never
    [InlineData("fbf490", 2)] // STI, HLT wakes
    [InlineData("68020200009d9090", 6)] // POPF has no shadow
    [InlineData("fb0f0b", 1)] // the fault in the shadow comes first
    public void Shadow(string code, int at)
    {
        _machine.Load(Code, [.. Convert.FromHexString(code), 0xcd, 0x80]);
        _machine.Context->Registers[0] = Layout.KernelData;
        _controller.Vectors.Enqueue(Vector);
        _machine.Processor.SignalInterrupt();
        int vector = _machine.Run(Code);
        Assert.Equal(at < 0 ? Done : code == "fb0f0b" ? 6 : Vector, vector);
        Assert.True(at < 0 || _machine.Frame(0) == Code + (ulong)at, $"interrupted at {_machine.Frame(0) - Code:x}");
        Assert.Equal(at < 0 || vector == 6 ? 1 : 0, _controller.Vectors.Count);
    }

    [Fact]
    public void StackSegmentShadow()
    {
        // IF set: the interrupt arrives while MOV SS runs; it waits for one more instruction.
        _machine.Load(Code, 0xfb, 0x8e, 0xd0, 0x90, 0x90, 0xcd, 0x80);
        Flags.Set(_machine.Context, Flags.Interrupt | 2);
        _machine.Context->Registers[0] = Layout.KernelData;
        _machine.Context->InterruptShadow = false;
        _controller.Vectors.Enqueue(Vector);
        _machine.Processor.SignalInterrupt();
        Assert.Equal(Vector, _machine.Run(Code));
        Assert.Equal(Code, _machine.Frame(0));
    }

    [Fact]
    public void HaltAndWake()
    {
        _machine.Load(Code, 0xf4, 0x90, 0xcd, 0x80);
        Flags.Set(_machine.Context, Flags.Interrupt | 2);
        Assert.Equal(-1, _machine.Run(Code));
        Assert.Equal((Code + 1UL, true), (_machine.Context->Rip, _machine.Context->Halted));

        // Nothing pending: stays asleep.
        _machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, _machine.Processor.Run().Reason);
        Assert.Equal(Code + 1UL, _machine.Context->Rip);
        _controller.Vectors.Enqueue(Vector);
        _machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, _machine.Processor.Run().Reason);
        Assert.Equal(Layout.Handler + (Vector * 16UL) + 1, _machine.Context->Rip);
        Assert.Equal(Code + 1UL, _machine.Frame(0));
    }

    [Fact]
    public void NonMaskableIsBlockedUntilReturn()
    {
        _machine.Load(Code, 0x90, 0x90, 0xcd, 0x80);
        _machine.Processor.SignalNonMaskable();
        Assert.Equal(NonMaskable, _machine.Run(Code));
        Assert.Equal(Code, _machine.Frame(0));
        _machine.Processor.SignalNonMaskable();

        // The handler's IRETQ lets it in, before the program's first instruction.
        Assert.Equal(NonMaskable, _machine.Continue());
        Assert.Equal(Code, _machine.Frame(0));
        Assert.Equal(Done, _machine.Continue());
    }

    [Fact]
    public void OfNonMaskablesThatComeAtOnceOneIsServedAndOneWaits()
    {
        _machine.Load(Code, 0x90, 0x90, 0xcd, 0x80);
        for (int n = 0; n < 3; n++)
        {
            _machine.Processor.SignalNonMaskable();
        }

        Assert.Equal(NonMaskable, _machine.Run(Code));
        Assert.Equal(NonMaskable, _machine.Continue());
        Assert.Equal(Code, _machine.Frame(0));
        Assert.Equal(Done, _machine.Continue());
    }

    [Fact]
    public void WhileOneIsServedOneWaits()
    {
        _machine.Load(Code, 0x90, 0x90, 0xcd, 0x80);
        _machine.Processor.SignalNonMaskable();
        Assert.Equal(NonMaskable, _machine.Run(Code));
        _machine.Processor.SignalNonMaskable();
        _machine.Processor.SignalNonMaskable();
        Assert.Equal(NonMaskable, _machine.Continue());
        Assert.Equal(Done, _machine.Continue());
    }

    [Fact]
    public void NonMaskableComesFirst()
    {
        _machine.Load(Code, 0x90, 0xcd, 0x80);
        Flags.Set(_machine.Context, Flags.Interrupt | 2);
        _controller.Vectors.Enqueue(Vector);
        _machine.Processor.SignalInterrupt();
        _machine.Processor.SignalNonMaskable();
        Assert.Equal(NonMaskable, _machine.Run(Code));
        Assert.Equal(Vector, _machine.Continue());
        Assert.Equal(Done, _machine.Continue());
    }

    [Fact]
    public void TrapBeforeInterrupt()
    {
        // Single step after NOP; the interrupt was signalled before: it is taken before the NOP, at the program's first instruction.
        _machine.Load(Code, 0x90, 0x90, 0xcd, 0x80);
        Flags.Set(_machine.Context, Flags.Interrupt | Flags.Trap | 2);
        _controller.Vectors.Enqueue(Vector);
        _machine.Processor.SignalInterrupt();
        Assert.Equal(Vector, _machine.Run(Code));
        Assert.Equal(Code, _machine.Frame(0));
        Assert.Equal(1, _machine.Continue());
        Assert.Equal(Code + 1UL, _machine.Frame(0));
    }

    [Fact]
    public void InitAndStartUp()
    {
        SoftwareProcessor second = _machine.Get(1);
        ProcessorContext* c = second.Context;
        _machine.Load(0x2_0000, 0xb8, 0x34, 0x12, 0xf4);
        second.SignalInit();
        Assert.Equal(ProcessorExitReason.Halted, second.Run().Reason);
        Assert.True(c->WaitingForStartUp);
        second.SignalStartUp(0x20);
        Assert.Equal(ProcessorExitReason.Halted, second.Run().Reason);
        Assert.Equal((0x2000, 0x2_0000UL, 4UL, 0x1234UL), (c->Segments[1].Selector, c->Segments[1].Base, c->Rip, c->Registers[0]));

        // A second start-up message is ignored.
        second.SignalStartUp(0x30);
        Assert.Equal(ProcessorExitReason.Halted, second.Run().Reason);
        Assert.Equal(4UL, c->Rip);
    }
}
