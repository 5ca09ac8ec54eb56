using System.Diagnostics;
using Lamina.Conformance.Processors;
using Lamina.Interop.Kvm;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Kvm.Tests;

/// <summary>Parts of KVM's interface that no guest program shows.</summary>
public sealed class KvmInterfaceTests
{
    [KvmFact]
    public void WritesOfTheGuestAreLogged()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);

        // mov [180000h], eax; mov [200000h], eax; hlt
        machine.Write(Layout.Code, [0x89, 0x04, 0x25, 0, 0, 0x18, 0, 0x89, 0x04, 0x25, 0, 0, 0x20, 0, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        KvmPartition partition = (KvmPartition)machine.Partition;
        partition.SetDirtyLog(true);
        partition.CollectDirtyPages();
        machine.Memory.RemovePageAttributes(Layout.Data, PageAttributes.Dirty);
        machine.Memory.RemovePageAttributes(0x20_0000, PageAttributes.Dirty);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.InRange(partition.CollectDirtyPages(), 2UL, 10UL);
        Assert.True(IsDirty(machine, Layout.Data));
        Assert.True(IsDirty(machine, 0x20_0000));
        Assert.False(IsDirty(machine, 0x30_0000));
        Assert.Equal(0UL, partition.CollectDirtyPages());
        partition.SetDirtyLog(false);
    }

    [KvmFact]
    public void TheTimeStampCounterFollowsTheMachineClockOverAPause()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        Assert.SkipUnless(accelerator.SetsTime, "This KVM cannot set a guest's time-stamp counter: it shows the host's.");
        using ProcessorMachine machine = Create(accelerator);

        // loop: rdtsc; shl rdx, 32; or rax, rdx; hlt; jmp loop
        machine.Write(Layout.Code, [0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xf4, 0xeb, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        ulong frequency = machine.Settings.TscFrequency;
        TimeSpan running = default;

        // What the guest reads is the machine clock, and at most as far ahead as it has been running, however slowly this thread gets on.
        void Check(ulong seconds, Func<ProcessorExit> run)
        {
            long start = Stopwatch.GetTimestamp();
            Assert.Equal(ProcessorExitReason.Halted, run().Reason);
            running += Stopwatch.GetElapsedTime(start);
            Assert.InRange(machine.Save().GeneralRegisters[0], seconds * frequency, (ulong)((seconds + running.TotalSeconds + 0.01) * frequency));
        }

        Check(1, () => machine.Run());

        // The clock of this machine stands still, as in a pause that is longer than the guest has been running.
        long end = Environment.TickCount64 + 20 + (2 * (long)running.TotalMilliseconds);
        SpinWait.SpinUntil(() => Environment.TickCount64 >= end);
        Check(1, () => machine.Continue());
        machine.Clock.Now += 5_000_000_000;
        Check(6, () => machine.Continue());
    }

    [KvmFact]
    public unsafe void ACounterThatIsSetIsNotTakenForOneThatGoesOn()
    {
        // KVM leaves a counter alone that is set to 0, or to less than a second off what it would be after the last value.
        List<ulong> written = [];
        TestCalls calls = new()
        {
            Answer = (request, _, argument) =>
            {
                // struct kvm_msrs: a count, padding, and entries.
                if (request == KvmRequest.SetMsrs && *(int*)argument == 1 && ((KvmMsrEntry*)(argument + 8))->Index == 0x10)
                {
                    written.Add(((KvmMsrEntry*)(argument + 8))->Value);
                }

                return null;
            },
        };
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        ulong second = machine.Settings.TscFrequency;
        int probes = written.Count;
        machine.Write(Layout.Code, [0xf4, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(2, written.Count - probes);
        Assert.Equal(second, written[^1]);
        for (int n = 1; n < written.Count; n++)
        {
            Assert.NotEqual(0UL, written[n]);
            Assert.False(written[n] - written[n - 1] + (10 * second) < 20 * second, $"{written[n - 1]} {written[n]}");
        }
    }

    [Fact]
    public void TheFirstProcessorAfterAPauseSetsItsCounterAndTheOthersFollow()
    {
        const ulong Frequency = 2_000_000_000;
        const long Stood = 10_000_000_000;
        KvmCounterLead lead = new(Frequency);
        Assert.False(lead.Follows(5, Stood));
        Assert.True(lead.Follows(5, Stood + 100_000));
        Assert.True(lead.Follows(ulong.MaxValue, Stood - 100_000));

        // After a pause of 10 ms the next is the first again, and one that is to be elsewhere never follows.
        Assert.False(lead.Follows(5, Stood + 10_000_000));
        Assert.True(lead.Follows(5, Stood + 10_000_000));
        Assert.False(lead.Follows(5 + Frequency, Stood + 10_000_000));
        Assert.True(lead.Follows(5 + Frequency, Stood + 10_000_000));
    }

    [Fact]
    public void AnswersAreRestrictedToWhatKvmOffers()
    {
        KvmCpuid cpuid = new(
        [
            new KvmCpuidEntry { Leaf = 1, Ecx = 0x2000, Edx = 0xff },
            new KvmCpuidEntry { Leaf = 7, Flags = KvmCpuidEntry.HasSubleaves, Ebx = 2 },
            new KvmCpuidEntry { Leaf = 0x8000_0008, Eax = 0x3027 },
        ]);
        CpuidEntry any = new(1, CpuidEntry.AnySubleaf, 0x806f8, 0x800, 0x8420_3001, 0x1000_03ff);
        IReadOnlyList<CpuidEntry> restricted = cpuid.Restrict([any, new(7, 0, 2, 3, 3, 3), new(7, 2, 0, 0, 0, 16), new(0xd, 0, 7, 832, 832, 0), new(0x16, CpuidEntry.AnySubleaf, 1, 2, 3, 4)], setsTime: true);

        // x2APIC, the hypervisor bit, APIC and HTT are ours.
        Assert.Equal(any with { Ecx = 0x8020_2000, Edx = 0x1000_02ff }, restricted[0]);
        Assert.Equal(new CpuidEntry(7, 0, 2, 2, 0, 0), restricted[1]);
        Assert.Equal(new CpuidEntry(7, 2, 0, 0, 0, 0), restricted[2]);
        Assert.Equal(new CpuidEntry(0xd, 0, 0, 0, 0, 0), restricted[3]);
        Assert.Equal(new CpuidEntry(0x16, CpuidEntry.AnySubleaf, 1, 2, 3, 4), restricted[4]);
        Assert.Equal(39, cpuid.PhysicalAddressBits);
        Assert.Equal(restricted, cpuid.Restrict(restricted, setsTime: true));
        Assert.Equal(0u, cpuid.Restrict(restricted, setsTime: false)[1].Ebx);
    }

    [KvmFact]
    public void ExitsAllocateNothing()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        machine.Connect();

        // mov ebx, 80000000h; mov dx, 500h; loop: out dx, al; mov eax, [rbx]; dec ecx; jnz loop; hlt
        machine.Write(Layout.Code, [0xbb, 0, 0, 0, 0x80, 0x66, 0xba, 0, 5, 0xee, 0x8b, 0x03, 0xff, 0xc9, 0x75, 0xf9, 0xf4]);
        long allocated = 0;
        foreach (ulong count in (ulong[])[10, 1000])
        {
            machine.StartLong(Layout.Code, 0);
            ProcessorState state = machine.Save();
            state.GeneralRegisters[1] = count;
            Assert.True(machine.Processor.Restore(state));
            long before = GC.GetAllocatedBytesForCurrentThread();
            ProcessorExit exit = machine.Processor.Run();
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(ProcessorExitReason.Halted, exit.Reason);
        }

        Assert.Equal(2020, machine.Device.Count);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void AMissingDeviceIsExplained()
    {
        Assert.Contains("the kernel lacks KVM", KvmHost.FindProblem("/dev/there-is-no-such-device"), StringComparison.Ordinal);
        Assert.Contains("not KVM", KvmHost.FindProblem("/dev/null"), StringComparison.Ordinal);
    }

    private static ProcessorMachine Create(KvmAccelerator accelerator) => new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);

    private static unsafe bool IsDirty(ProcessorMachine machine, ulong address) => (*machine.Memory.GetPageAttributes(address) & (byte)PageAttributes.Dirty) != 0;
}
