using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>Interrupts, halts, requests and start-up messages, under every accelerator.</summary>
public sealed class ProcessorEventTests
{
    private const byte Vector = 0x41;

    // sti; hlt; cli; mov eax, 5; hlt
    private static readonly byte[] WaitForInterrupt = [0xfb, 0xf4, 0xfa, 0xb8, 5, 0, 0, 0, 0xf4];

    // inc rax; jmp back
    private static readonly byte[] Forever = [0x48, 0xff, 0xc0, 0xeb, 0xfb];

    public static TheoryData<string> All => Accelerators.All;

    public static TheoryData<string, int> AllByPrivilege
    {
        get
        {
            TheoryData<string, int> data = [];
            foreach (TheoryDataRow<string> name in Accelerators.All)
            {
                data.Add(name.Data, 0);
                data.Add(name.Data, 3);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AnInterruptEndsAHalt(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        TestController controller = machine.Connect();
        machine.Write(Layout.Code, WaitForInterrupt);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Code + 2, machine.Save().Rip);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);

        controller.Raise(Vector);
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([Vector], controller.Taken);
        ProcessorState state = machine.Save();
        Assert.Equal(Layout.Handlers + (Vector * 16) + 6, state.Rip);
        Assert.Equal(Layout.Code + 2, machine.Read(state.GeneralRegisters[4] + 8));
    }

    [Theory]
    [MemberData(nameof(AllByPrivilege))]
    public void AnInterruptFromAnotherThreadReachesALoop(string name, int privilege)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        TestController controller = machine.Connect();

        // sti is for ring 0; ring 3 begins with interrupts enabled.
        machine.Write(Layout.Code, [(byte)(privilege == 0 ? 0xfb : 0x90), .. Forever]);
        machine.StartLong(Layout.Code, privilege);
        using Timer timer = new(
            _ =>
            {
                controller.Raise(Vector);
                machine.Processor.SignalInterrupt();
            },
            null,
            20,
            Timeout.Infinite);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Handlers + (Vector * 16) + 6, machine.Save().Rip);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AMaskedInterruptWaitsForItsPriority(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        TestController controller = machine.Connect();
        controller.Raise(Vector);

        // mov eax, 8; mov cr8, rax; sti; nop; nop; mov ebx, 1; xor eax, eax; mov cr8, rax; nop; mov ebx, 2; hlt
        machine.Write(Layout.Code, [0xb8, 8, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc0, 0xfb, 0x90, 0x90, 0xbb, 1, 0, 0, 0, 0x31, 0xc0, 0x44, 0x0f, 0x22, 0xc0, 0x90, 0xbb, 2, 0, 0, 0, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        controller.TaskPriorityClass = 8;
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([Vector], controller.Taken);

        // At the write to CR8, or, where a KVM does not tell of that, at the next exit.
        Assert.InRange(machine.Save().GeneralRegisters[3], 1UL, name == Accelerators.Kvm ? 2UL : 1UL);
        Assert.Equal(0, controller.TaskPriorityClass);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void ANonMaskableInterruptComesOnceAndBlocksTheNext(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        machine.Connect();
        machine.Write(Layout.Code, [0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        machine.Processor.SignalNonMaskable();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        ProcessorState state = machine.Save();
        Assert.Equal(Layout.Handlers + (2 * 16) + 6, state.Rip);
        Assert.True(state.NonMaskableBlocked);
        machine.Processor.SignalNonMaskable();
        machine.Processor.RequestExit();
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        Assert.True(machine.Save().NonMaskablePending);
    }

    [Theory]
    [MemberData(nameof(AllByPrivilege))]
    public void ARequestLeavesALoop(string name, int privilege)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        machine.Write(Layout.Code, Forever);
        machine.StartLong(Layout.Code, privilege);
        for (int n = 0; n < 20; n++)
        {
            using Timer timer = new(_ => machine.Processor.RequestExit(), null, 1 + (n % 3), Timeout.Infinite);
            Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        }

        Assert.InRange(machine.Save().GeneralRegisters[0], 1UL, ulong.MaxValue);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void ARequestBeforeRunningIsObeyedOnce(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        machine.Write(Layout.Code, [0xf4]);
        machine.StartLong(Layout.Code, 0);
        machine.Processor.RequestExit();
        machine.Processor.RequestExit();
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        Assert.Equal(Layout.Code, machine.Save().Rip);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void ARequestInADeviceAccessLeavesTheInstructionComplete(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);

        // mov rax, [rbx]; hlt
        machine.Write(Layout.Code, [0x48, 0x8b, 0x03, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        ProcessorState state = machine.Save();
        state.GeneralRegisters[3] = Layout.Device;
        Assert.True(machine.Processor.Restore(state));
        machine.Device.Accessed = machine.Processor.RequestExit;
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        state = machine.Save();
        Assert.Equal(machine.Device.Sum, state.GeneralRegisters[0]);
        machine.Run();
        Assert.Equal(Layout.Code + 4, machine.Save().Rip);
        Assert.Equal(1, machine.Device.Count);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AnExceptionWithoutATableIsAShutdown(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        machine.Write(Layout.Code, [0x0f, 0x0b]);
        machine.StartLong(Layout.Code, 0);
        ProcessorState state = machine.Save();
        state.IdtLimit = 0;
        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Shutdown, machine.Run().Reason);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void TheSecondProcessorWaitsForItsStartUpMessage(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name, processors: 2);
        machine.Connect();
        machine.Connect(1);

        // mov ax, cs; hlt
        machine.Write(0x1_2000, [0x8c, 0xc8, 0xf4]);
        Assert.True(machine.Save(1).WaitingForStartUp);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        machine.Processors[1].SignalInit();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        machine.Processors[1].SignalStartUp(0x12);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        ProcessorState state = machine.Save(1);
        Assert.False(state.WaitingForStartUp);
        Assert.Equal((0x1200UL, 3UL, 0x1_2000UL), (state.GeneralRegisters[0], state.Rip, state.Segments[1].Base));
        machine.Processors[1].SignalStartUp(0x13);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        Assert.Equal(3UL, machine.Save(1).Rip);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AProcessorThatWaitsBeginsAsItsHypervisorSays(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name, processors: 2);
        machine.Connect();
        machine.Connect(1);
        IVirtualProcessor processor = machine.Processors[1];

        // add rax, rbx; hlt
        machine.Write(Layout.Code, [0x48, 0x01, 0xd8, 0xf4]);
        Assert.Equal((true, false), (processor.WaitsForStartUp, processor.IsUp));
        ulong counter = GetCounter(machine.Save(1));
        machine.Clock.Now += 1_000_000;

        // Paging without protection is nothing that a processor can begin with.
        processor.SignalBegin(new Entry(cr0: 0x8000_0010));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        Assert.True(machine.Save(1).WaitingForStartUp);
        processor.SignalBegin(new Entry(cr0: 0x8001_0033));
        Assert.Equal((false, true), (processor.WaitsForStartUp, processor.IsUp));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        ProcessorState state = machine.Save(1);
        Assert.Equal((Layout.Code + 4, 42UL, 0xd00UL, false), (state.Rip, state.GeneralRegisters[0], GetEfer(state), state.WaitingForStartUp));
        Assert.True(GetCounter(state) > counter, "Its counter was set back.");

        // Halted with interrupts masked, it is not up. Whoever executes is not begun anew, and INIT has it wait.
        Assert.Equal((false, false), (processor.WaitsForStartUp, processor.IsUp));
        processor.SignalBegin(new Entry(cr0: 0x8001_0033));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        Assert.Equal(42UL, machine.Save(1).GeneralRegisters[0]);
        processor.SignalInit();
        Assert.True(processor.WaitsForStartUp);
        processor.SignalStartUp(0x12);
        Assert.False(processor.WaitsForStartUp);
        machine.Write(0x1_2000, [0xf4]);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        Assert.Equal((0x1_2000UL, 1UL), (machine.Save(1).Segments[1].Base, machine.Save(1).Rip));

        static ulong GetCounter(ProcessorState state) => state.Msrs.Find(static m => m.Index == 0x10).Value;

        static ulong GetEfer(ProcessorState state) => state.Msrs.Find(static m => m.Index == 0xc000_0080).Value & 0xd00;
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AProcessorStandsStillUntilItIsToGoOn(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name, processors: 2);
        TestController controller = machine.Connect();
        machine.Connect(1);

        // sti; nop; jmp here
        machine.Write(Layout.Code, [0xfb, 0x90, 0xeb, 0xfe]);
        machine.StartLong(Layout.Code, 0);
        Assert.True(machine.Processor.IsUp);
        machine.Processor.SignalStandStill();
        Assert.False(machine.Processor.IsUp);
        controller.Raise(Vector);
        machine.Processor.SignalInterrupt();
        machine.Processor.SignalKick();
        machine.Processor.SignalNonMaskable();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        ProcessorState state = machine.Save();
        Assert.Equal((true, Layout.Code), (state.StandsStill, state.Rip));

        // So does another body that goes on with it.
        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Code, machine.Save().Rip);
        Assert.Empty(controller.Taken);
        machine.Processor.SignalGoOn();
        machine.Processor.SignalInterrupt();
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.NotEqual(Layout.Code, machine.Save().Rip);

        // INIT ends it, too.
        machine.Processors[1].SignalStandStill();
        machine.Processors[1].SignalInit();
        machine.Processors[1].SignalStartUp(0x12);
        machine.Write(0x1_2000, [0xf4]);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run(1).Reason);
        Assert.Equal((1UL, false), (machine.Save(1).Rip, machine.Save(1).StandsStill));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void TheStateAfterPowerOnIsTheArchitectures(string name)
    {
        IAccelerator accelerator = Accelerators.Create(name);
        using ProcessorMachine expected = Accelerators.CreateMachine("interpreter", accelerator);
        using ProcessorMachine actual = Accelerators.CreateMachine(name, accelerator);
        Assert.Equal("", StateComparison.Describe(expected.Save(), actual.Save()));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void AnImpossibleStateIsRefusedAndTheProcessorReset(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        ProcessorState before = machine.Save();
        ProcessorState state = machine.Save();
        state.Cr0 = 0x8000_0010;
        Assert.False(machine.Processor.Restore(state));
        Assert.Equal("", StateComparison.Describe(before, machine.Save()));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void MsrsOfTheLocalApicAreTheControllers(string name)
    {
        using ProcessorMachine machine = Accelerators.CreateMachine(name);
        TestController controller = machine.Connect();

        // mov ecx, 808h; xor edx, edx; mov eax, 50h; wrmsr; mov ecx, 1bh; rdmsr; mov ebx, eax; mov ecx, 6e0h; xor eax, eax; xor edx, edx; wrmsr; mov esi, [fee00020]; hlt
        machine.Write(
            Layout.Code,
            [
                0xb9, 0x08, 0x08, 0, 0, 0x31, 0xd2, 0xb8, 0x50, 0, 0, 0, 0x0f, 0x30, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x89, 0xc3,
                0xb9, 0xe0, 0x06, 0, 0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, 0xf4,
            ]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(Layout.Code + 35, machine.Save().Rip);
        Assert.Equal(0xfee0_0900UL, machine.Save().GeneralRegisters[3]);
        Assert.True(controller.TryReadMsr(0x808, out ulong priority));
        Assert.Equal(0x50UL, priority);
    }

    private sealed class Entry(ulong cr0) : IProcessorEntry
    {
        public void Apply(ProcessorState state)
        {
            Array.Clear(state.GeneralRegisters);
            (state.GeneralRegisters[0], state.GeneralRegisters[3], state.GeneralRegisters[4]) = (2, 40, Layout.KernelStack);
            (state.Rip, state.Rflags, state.Cr0, state.Cr3, state.Cr4) = (Layout.Code, 2, cr0, Layout.Tables, 0x620);
            state.Msrs.RemoveAll(static m => m.Index == 0xc000_0080);
            state.Msrs.Add(new MsrValue(0xc000_0080, 0xd00));
            SegmentState data = new(0, 0, uint.MaxValue, 0xc093);
            (state.Segments[0], state.Segments[1], state.Segments[2], state.Segments[3]) = (data, new SegmentState(0, 0, uint.MaxValue, 0xa09b), data, data);
        }
    }
}
