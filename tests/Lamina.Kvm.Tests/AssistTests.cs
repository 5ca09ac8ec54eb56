using Lamina.Conformance.Processors;
using Lamina.Interop.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;

namespace Lamina.Kvm.Tests;

/// <summary>What happens where KVM refuses to emulate an instruction.</summary>
public sealed unsafe class AssistTests
{
    // mov ecx, 5000; loop: add rax, rcx; lock cmpxchg16b [rsi]; dec ecx; jnz loop; movq xmm0, rax; hlt
    private static readonly byte[] Program =
    [
        0xb9, 0x88, 0x13, 0, 0, 0x48, 0x01, 0xc8, 0xf0, 0x48, 0x0f, 0xc7, 0x0e, 0xff, 0xc9, 0x75, 0xf4, 0x66, 0x48, 0x0f, 0x6e, 0xc0, 0xf4,
    ];

    [KvmFact]
    public void AnInstructionThatKvmRefusesIsExecutedInItsPlace()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Load(accelerator);
        using ProcessorMachine expected = Load(new InterpreterAccelerator(), accelerator);
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), expected.Run());
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), machine.Run());
        Assert.Equal("", StateComparison.Describe(expected.Save(), machine.Save()));
        Assert.Equal(expected.Ram.Length, expected.Ram.CommonPrefixLength(machine.Ram));

        // Hardware refuses none; a KVM without it all CMPXCHG16B in ring 0.
        Assert.True(machine.Processor.Counters.AssistedInstructions is 0 or >= 5000, $"{machine.Processor.Counters.AssistedInstructions} assisted");
    }

    [KvmFact]
    public void AnEmulatorThatRefusesEveryOtherInstructionIsHelpedThroughAProgram()
    {
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Load(accelerator);
        using ProcessorMachine expected = Load(new InterpreterAccelerator(), accelerator);
        KvmProcessor processor = (KvmProcessor)machine.Processor;
        calls.Answer = (r, before, _) => r == KvmRequest.Run && before % 2 == 0 ? Refuse(processor) : null;
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), expected.Run());
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), machine.Run());
        Assert.Equal("", StateComparison.Describe(expected.Save(), machine.Save()));
        Assert.True(processor.Counters.AssistedInstructions > 0);
    }

    [KvmFact]
    public void AnEmulatorThatRefusesEverythingIsUnsuited()
    {
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Load(accelerator);
        KvmProcessor processor = (KvmProcessor)machine.Processor;
        calls.Answer = (r, _, _) => r == KvmRequest.Run ? Refuse(processor) : null;
        ProcessorExit exit = machine.Run();
        Assert.Equal(ProcessorExitReason.Unsuited, exit.Reason);
        Assert.Contains("of 4096 instructions that it refused", exit.Detail, StringComparison.Ordinal);
        Assert.Equal(4096UL, processor.Counters.AssistedInstructions);

        // It goes on elsewhere to the right end.
        using ProcessorMachine other = Load(new InterpreterAccelerator(), accelerator);
        using ProcessorMachine expected = Load(new InterpreterAccelerator(), accelerator);
        machine.Ram.CopyTo(other.Ram);
        Assert.True(other.Processor.Restore(machine.Save()));
        Assert.Equal(ProcessorExitReason.Halted, other.Run().Reason);
        Assert.Equal(ProcessorExitReason.Halted, expected.Run().Reason);
        Assert.Equal("", StateComparison.Describe(expected.Save(), other.Save()));
    }

    [KvmFact]
    public void AFaultOfAnAssistedInstructionIsDelivered()
    {
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Load(accelerator);
        using ProcessorMachine expected = Load(new InterpreterAccelerator(), accelerator);
        foreach (ProcessorMachine m in (ProcessorMachine[])[machine, expected])
        {
            // mov rax, [600000h]
            m.Write(Layout.Code, [0x48, 0x8b, 0x04, 0x25, 0, 0, 0x60, 0]);
            m.StartLong(Layout.Code, 3);
        }

        KvmProcessor processor = (KvmProcessor)machine.Processor;
        calls.Answer = (r, before, _) => r == KvmRequest.Run && before == 0 ? Refuse(processor) : null;
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), expected.Run());
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), machine.Run());
        Assert.Equal("", StateComparison.Describe(expected.Save(), machine.Save()));
        Assert.Equal(1UL, processor.Counters.AssistedInstructions);
    }

    private static int? Refuse(KvmProcessor processor)
    {
        KvmRun* run = processor.SharedPage;
        if (run->ImmediateExit != 0)
        {
            return null;
        }

        run->ExitReason = (uint)KvmExitReason.InternalError;
        run->InternalError = 1;
        run->InternalDataCount = 0;
        return 0;
    }

    private static ProcessorMachine Load(KvmAccelerator accelerator) => Load(accelerator, accelerator);

    private static ProcessorMachine Load(IAccelerator accelerator, KvmAccelerator limit)
    {
        ProcessorMachine machine = new(accelerator, limit.Restrict(ProcessorMachine.Features), limit.TscFrequency ?? 1_000_000_000);
        machine.Write(Layout.Code, Program);
        machine.StartLong(Layout.Code, 0);
        ProcessorState state = machine.Save();
        state.GeneralRegisters[6] = Layout.Data;
        Assert.True(machine.Processor.Restore(state));
        return machine;
    }
}
