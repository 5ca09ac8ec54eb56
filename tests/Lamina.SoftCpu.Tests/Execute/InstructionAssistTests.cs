using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Single steps on behalf of another accelerator, from one architectural state to the next.</summary>
public sealed unsafe class InstructionAssistTests : IDisposable
{
    private const ulong StartUpAddress = 0x9_8000;
    private readonly TestMachine _machine = new();
    private readonly FakeController _controller = new() { TaskPriorityClass = 5 };
    private readonly InstructionAssist _assist;
    private readonly ProcessorState _state = new();

    public InstructionAssistTests() => _assist = new InstructionAssist(_machine.Partition.Settings, 0, _controller);

    public void Dispose()
    {
        _assist.Dispose();
        _machine.Dispose();
    }

    [Fact]
    public void ExecutesOneInstruction()
    {
        Enter();
        _machine.Load(Layout.Code, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0); // inc rax, twice
        _state.GeneralRegisters[0] = 41;
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal((42UL, Layout.Code + 3UL), (_state.GeneralRegisters[0], _state.Rip));

        // Code that has changed since is seen.
        _state.Rip = Layout.Code;
        _machine.Load(Layout.Code, 0x48, 0xff, 0xc8); // dec rax
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal(41UL, _state.GeneralRegisters[0]);
    }

    [Fact]
    public void TaskPriorityComesAndGoesWithTheState()
    {
        Enter();
        _machine.Load(Layout.Code, 0x44, 0x0f, 0x20, 0xc0, 0x44, 0x0f, 0x22, 0xc1); // mov rax, cr8; mov cr8, rcx
        _state.Cr8 = 7;
        _state.GeneralRegisters[1] = 9;
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal((7UL, 7UL), (_state.GeneralRegisters[0], _state.Cr8));
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal((9UL, 9), (_state.Cr8, _controller.TaskPriorityClass));
    }

    [Fact]
    public void DeliversTheExceptionOfTheInstruction()
    {
        Enter();
        _machine.Load(Layout.Code, 0x0f, 0x0b); // ud2
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal(Layout.Handler + (6UL * 16), _state.Rip);
        Assert.Equal(Layout.Code, _machine.At<ulong>(_state.GeneralRegisters[4]));
    }

    // A fault that is delivered has RF in its frame; a debug exception and an interrupt do not (Intel SDM volume 3, section 18.3.1.1).
    [Fact]
    public void DeliversEventsOfOthers()
    {
        Enter();
        Assert.Equal(AssistOutcome.Done, _assist.DeliverException(_state, 13, true, 0x1234));
        Assert.Equal(Layout.Handler + (13UL * 16), _state.Rip);
        Assert.Equal((0x1234UL, Layout.Code, Flags.Resume), (Frame(0), Frame(1), (uint)Frame(3) & Flags.Resume));
        Enter();
        Assert.Equal(AssistOutcome.Done, _assist.DeliverException(_state, 1, false, 0));
        Assert.Equal((Layout.Handler + 16UL, 0u), (_state.Rip, (uint)Frame(2) & Flags.Resume));
        Enter();
        Assert.Equal(AssistOutcome.Done, _assist.DeliverInterrupt(_state, 0x41));
        Assert.Equal((Layout.Handler + (0x41UL * 16), 0u), (_state.Rip, (uint)Frame(2) & Flags.Resume));
    }

    [Fact]
    public void NothingToDeliverToShutsDown()
    {
        Enter();
        _state.IdtLimit = 0;
        Assert.Equal(AssistOutcome.ShutDown, _assist.DeliverException(_state, 13, true, 0));
        Enter();
        _state.IdtLimit = 0;
        _machine.Load(Layout.Code, 0x0f, 0x0b);
        Assert.Equal(AssistOutcome.ShutDown, _assist.Execute(_state));
    }

    [Fact]
    public void StatesThatNoProcessorHasAreImpossible()
    {
        Enter();
        _state.Cr0 = 0x8000_0000; // paging without protection
        Assert.Equal(AssistOutcome.Impossible, _assist.Execute(_state));
        Assert.Equal(AssistOutcome.Impossible, _assist.DeliverInterrupt(_state, 0x41));
        Assert.Equal(AssistOutcome.Impossible, _assist.DeliverException(_state, 13, true, 0));
        Assert.Equal(AssistOutcome.Impossible, _assist.Reset(_state, true, -1));

        // An MSR with a value that it does not take.
        Enter();
        _state.Msrs.Add(new MsrValue(0xc000_0082, 0x8000_0000_0000));
        Assert.Equal(AssistOutcome.Impossible, _assist.Execute(_state));
    }

    // Under PAE paging the page-directory pointers are a part of the state that is in memory only.
    [Theory]
    [InlineData(1u, AssistOutcome.Done)]
    [InlineData(7u, AssistOutcome.Impossible)]
    public void PageDirectoryPointersAreLoaded(uint attributes, AssistOutcome expected)
    {
        const uint pointers = Layout.PageTables + 0x8000;
        _machine.EnterProtected(0);
        _machine.At<ulong>(pointers) = pointers + 0x1000 + attributes;
        _machine.At<ulong>(pointers + 0x1000) = 0xe7;
        _machine.Processor.Save(_state);
        _state.Cr0 |= 0x8000_0000;
        _state.Cr3 = pointers;
        _state.Cr4 |= 0x20;
        _state.Rip = Layout.Code;
        _machine.Load(Layout.Code, 0x40);
        Assert.Equal(expected, _assist.Execute(_state));
        Assert.Equal(expected == AssistOutcome.Done ? Layout.Code + 1UL : Layout.Code, _state.Rip);
    }

    [Fact]
    public void InitAndStartUp()
    {
        Enter();
        Assert.Equal(AssistOutcome.Done, _assist.Reset(_state, true, -1));
        Assert.Equal((false, 0xfff0UL, 0xffff_0000UL), (_state.WaitingForStartUp, _state.Rip, _state.Segments[1].Base));
        Enter();

        // Without INIT nothing waits for the start-up message.
        Assert.Equal(AssistOutcome.Done, _assist.Reset(_state, false, 0x98));
        Assert.Equal(Layout.Code, _state.Rip);

        // The other processors wait after INIT.
        using InstructionAssist second = new(_machine.Partition.Settings, 1, null);
        Assert.Equal(AssistOutcome.Done, second.Reset(_state, true, -1));
        Assert.True(_state.WaitingForStartUp);
        Assert.Equal(AssistOutcome.Done, second.Reset(_state, false, 0x98));
        Assert.Equal((false, 0UL, StartUpAddress, 0x9800), (_state.WaitingForStartUp, _state.Rip, _state.Segments[1].Base, _state.Segments[1].Selector));
    }

    [Fact]
    public void PendingEventsAreKept()
    {
        Enter();
        _machine.Load(Layout.Code, 0x90);
        _state.NonMaskablePending = true;
        _state.NonMaskableBlocked = true;
        Assert.Equal(AssistOutcome.Done, _assist.Execute(_state));
        Assert.Equal((true, true, Layout.Code + 1UL), (_state.NonMaskablePending, _state.NonMaskableBlocked, _state.Rip));
    }

    private ulong Frame(int index) => _machine.At<ulong>(_state.GeneralRegisters[4] + (ulong)(index * 8));

    private void Enter()
    {
        _machine.EnterLong(0);
        _machine.Context->Rip = Layout.Code;
        _machine.Processor.Save(_state);
    }
}
