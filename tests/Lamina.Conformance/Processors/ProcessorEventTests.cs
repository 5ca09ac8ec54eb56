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
}
