using Lamina.Conformance.Processors;
using Lamina.Interop.Kvm;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Kvm.Tests;

/// <summary>What depends on this host's KVM when guests see another hypervisor; what does not is among the processors' conformance tests.</summary>
public sealed unsafe class PersonalityTests
{
    private const int InvalidOpcode = 6;

    // nop, three times; hlt: the kernel in these tests is one that reports VMCALL there, and the real one then goes over it.
    private static readonly byte[] Call = [0x90, 0x90, 0x90, 0xf4];

    [KvmTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void AnInstructionThatKvmHandsOverIsAHypercall(bool refused)
    {
        TestPersonality personality = new()
        {
            Executes = (in call, byInstruction) =>
            {
                Assert.True(byInstruction);
                call.Registers[GuestCall.Rax]++;
                call.Registers[GuestCall.Rdx] = 5;
                return !refused;
            },
        };
        TestCalls calls = HandOver();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        Assert.True(accelerator.HandsOverHypercalls);
        using ProcessorMachine machine = Create(accelerator, personality);
        Assert.Equal(1, calls.Count(KvmRequest.ConfigureXen));
        machine.Connect();
        machine.Write(Layout.Code, Call);
        machine.StartLong(Layout.Code, 0);
        KvmRun* run = ((KvmProcessor)machine.Processor).SharedPage;
        ReportHypercall(calls, run);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        if (refused)
        {
            Assert.Equal(Layout.Handlers + (InvalidOpcode * 16) + 6, machine.Save().Rip);
            Assert.Equal(Layout.Code, machine.Read(machine.Save().GeneralRegisters[4] + 8));
        }
        else
        {
            // RAX is KVM's to set.
            Assert.Equal((1UL, 5UL), (run->XenResult, machine.Save().GeneralRegisters[2]));
        }
    }

    [KvmFact]
    public void WithoutThatCapabilityOnlyGuestsThatCallByThePageAreTaken()
    {
        TestCalls calls = new() { Answer = static (r, _, argument) => r == KvmRequest.CheckExtension && argument == KvmCapability.XenGuests ? 0 : null };
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        TestPersonality personality = new() { UsesHypercallInstruction = true };
        Assert.Contains("KVM_CAP_XEN_HVM", accelerator.FindObstacle(personality), StringComparison.Ordinal);
        Assert.Contains("KVM_CAP_XEN_HVM", Assert.Throws<NotSupportedException>(() => Create(accelerator, personality)).Message, StringComparison.Ordinal);
        personality.UsesHypercallInstruction = false;
        Assert.Null(accelerator.FindObstacle(personality));
        using ProcessorMachine machine = Create(accelerator, personality);
        Assert.Equal(0, calls.Count(KvmRequest.ConfigureXen));
        using KvmAccelerator other = new(HandOver(), TestOptions.NoControllers);
        Assert.Null(other.FindObstacle(new TestPersonality { UsesHypercallInstruction = true }));
    }

    [KvmFact]
    public void AHypervisorThatNeedsTheMachinesLocalApicsGetsThem()
    {
        TestPersonality personality = new() { NeedsLocalApics = true };
        using KvmAccelerator accelerator = new();
        Assert.Null(accelerator.FindObstacle(personality));
        using (ProcessorMachine machine = Create(accelerator, personality))
        {
            Assert.Null(machine.Partition.HostedInterrupts);
        }

        using (ProcessorMachine machine = Create(accelerator, new TestPersonality()))
        {
            Assert.Equal(accelerator.Controllers != KvmControllers.Off, machine.Partition.HostedInterrupts is not null);
        }

        using KvmAccelerator hosted = new(new KvmOptions { Controllers = KvmControllers.Split });
        Assert.Contains("needs the machine's", hosted.FindObstacle(personality), StringComparison.Ordinal);
        Assert.Null(hosted.FindObstacle(new TestPersonality()));
        using KvmAccelerator clock = new(new KvmOptions { Clock = true });
        Assert.Contains("KVM's clock", clock.FindObstacle(personality), StringComparison.Ordinal);
        Assert.Contains("does not carry", accelerator.FindObstacle(new TestPersonality { HasHypercallPage = false }), StringComparison.Ordinal);
    }

    [KvmFact]
    public void ItIsToldWhereTheCounterIsBeforeTheGuestRunsAndThenNowAndAgain()
    {
        TestPersonality personality = new();
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator, personality);
        machine.Connect();

        // mov edx, 500h; out dx, al; three times; hlt
        machine.Write(Layout.Code, [0xba, 0, 5, 0, 0, 0xee, 0xee, 0xee, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        List<int> told = [];
        machine.Device.Accessed = () =>
        {
            told.Add(personality.Leads.Count);

            // This machine's clock stands still. After the first access no time has passed, after the second more than enough.
            machine.Clock.Now += machine.Device.Count == 2 ? 20_000_000u : 0;
        };
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(told[0], told[1]);
        Assert.True(told[0] >= 1 && told[2] > told[1], string.Join(", ", told));
        if (accelerator.SetsTime)
        {
            // The counter was set to the clock's time.
            Assert.InRange(personality.Leads[0], 0, (long)machine.Settings.TscFrequency);
        }
    }

    // A KVM without hardware emulates what a kernel writes to its tables, and has no translation that is older: only the calls show that it would be dropped.
    [KvmFact]
    public void TranslationsAreDroppedBySettingCr3ToAnotherValueAndBack()
    {
        TestPersonality personality = new()
        {
            Executes = static (in call, _) =>
            {
                call.Caller!.DropTranslations(1, withGlobal: false, [Layout.Data]);
                return true;
            },
        };
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator, personality);
        machine.Connect();
        machine.Write(Layout.Code, [.. HypercallPort.Instruction, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        List<ulong> set = [];
        calls.Answer = (request, _, argument) =>
        {
            if (request == KvmRequest.SetSystemRegisters)
            {
                set.Add(((KvmSystemRegisters*)argument)->Cr3);
            }

            return null;
        };
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal([Layout.Tables ^ 8, Layout.Tables], set);
        Assert.Equal((Layout.Tables, Layout.Code + 4), (machine.Save().Cr3, machine.Save().Rip));
    }

    [KvmFact]
    public void CallsAllocateNothing()
    {
        TestPersonality personality = new() { Executes = static (in call, _) => call.Registers[GuestCall.Rax] != 1 };
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator, personality);
        machine.Connect();

        // mov ecx, 500; loop: xor eax, 3; the call; dec ecx; jnz loop; hlt
        machine.Write(Layout.Code, [0xb9, 0xf4, 1, 0, 0, 0x83, 0xf0, 3, .. HypercallPort.Instruction, 0xff, 0xc9, 0x75, 0xf6, 0xf4]);
        personality.Privileges.EnsureCapacity(2000);
        long allocated = 0;
        for (int n = 0; n < 2; n++)
        {
            machine.StartLong(Layout.Code, 0);
            long before = GC.GetAllocatedBytesForCurrentThread();
            ProcessorExit exit = machine.Processor.Run();
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(ProcessorExitReason.Halted, exit.Reason);
        }

        Assert.Equal(1000, personality.Privileges.Count);
        Assert.Equal(0, allocated);
    }

    private static ProcessorMachine Create(KvmAccelerator accelerator, IPersonality personality) =>
        new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000, personality: personality);

    // A KVM that knows guests of Xen.
    private static TestCalls HandOver() => new() { Answer = Offer };

    private static int? Offer(uint request, int before, nint argument) => request switch
    {
        KvmRequest.CheckExtension when argument == KvmCapability.XenGuests => KvmMachine.InterceptedHypercalls,
        KvmRequest.ConfigureXen => 0,
        _ => null,
    };

    // The next entry comes back with VMCALL, and the one after it finishes that.
    private static void ReportHypercall(TestCalls calls, KvmRun* run)
    {
        int first = calls.Count(KvmRequest.Run);
        calls.Answer = (request, before, argument) =>
        {
            if (request != KvmRequest.Run || before != first)
            {
                return Offer(request, before, argument);
            }

            run->ExitReason = (uint)KvmExitReason.Xen;
            run->XenType = 1;
            return 0;
        };
    }
}
