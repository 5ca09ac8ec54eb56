using Lamina.Conformance.Processors;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Machine.Processors;

namespace Lamina.Kvm.Tests;

/// <summary>A host that refuses calls: clear errors, and nothing left behind.</summary>
public sealed class FaultInjectionTests
{
    private const int Interrupted = 4;
    private const int TryAgain = 11;
    private const int OutOfMemory = 12;
    private const int BadAddress = 14;

    private static readonly byte[] Program = [0xb8, 7, 0, 0, 0, 0xf4];

    [KvmFact]
    public void EveryRefusalAtConstructionNamesItsCallAndLeavesNothingBehind()
    {
        uint[] requests =
        [
            KvmRequest.GetSupportedCpuid, KvmRequest.CreateMachine, KvmRequest.GetRunSize, KvmRequest.SetIdentityMapAddress, KvmRequest.SetTaskStateAddress,
            KvmRequest.CreateProcessor, KvmRequest.GetTscKilohertz, KvmRequest.EnableCapability, KvmRequest.SetMsrFilter, KvmRequest.SetMemoryRegion,
            KvmRequest.SetCpuid, KvmRequest.GetRegisters, KvmRequest.GetSystemRegisters, KvmRequest.GetEvents, KvmRequest.GetDebugRegisters, KvmRequest.SetRegisters,
            KvmRequest.SetEvents,
        ];
        foreach (int error in (int[])[OutOfMemory, BadAddress])
        {
            foreach (uint request in requests)
            {
                int before = CountDescriptors();
                TestCalls calls = new() { Answer = (r, _, _) => r == request ? -error : null };
                SystemCallException e = Assert.Throws<SystemCallException>(() => Create(calls));
                Assert.Equal((KvmRequest.GetName(request), error), (e.Call, e.ErrorNumber));
                GC.Collect();
                GC.WaitForPendingFinalizers();
                Assert.True(before == CountDescriptors(), $"{e.Call} left descriptors open");
            }
        }
    }

    [KvmFact]
    public void AMissingCapabilityIsRefusedByName()
    {
        int before = CountDescriptors();
        TestCalls calls = new() { Answer = (r, _, argument) => r == KvmRequest.CheckExtension && argument == KvmCapability.MsrFilter ? 0 : null };
        Assert.Contains("KVM_CAP_X86_MSR_FILTER", Assert.Throws<NotSupportedException>(() => Create(calls)).Message, StringComparison.Ordinal);
        Assert.Equal(before, CountDescriptors());
    }

    [KvmFact]
    public void AnotherVersionIsRefused()
    {
        TestCalls calls = new() { Answer = (r, _, _) => r == KvmRequest.GetApiVersion ? 11 : null };
        Assert.Contains("version 11", Assert.Throws<NotSupportedException>(() => Create(calls)).Message, StringComparison.Ordinal);
    }

    [KvmFact]
    public void InterruptedCallsAreRepeated()
    {
        foreach (int error in (int[])[Interrupted, TryAgain])
        {
            // Every call of every kind is interrupted twice before it is let through.
            TestCalls calls = new() { Answer = (r, before, _) => before % 3 != 2 && r != KvmRequest.CheckExtension ? -error : null };
            using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
            using ProcessorMachine machine = new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);
            machine.Write(Layout.Code, Program);
            machine.StartLong(Layout.Code, 0);
            Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), machine.Run());
            Assert.Equal(7UL, machine.Save().GeneralRegisters[0]);
            Assert.True(calls.Count(KvmRequest.Run) >= 3);
        }
    }

    [KvmFact]
    public void ARefusalToRunIsAFailureThatSaysSo()
    {
        foreach ((int error, string name) in new[] { (OutOfMemory, "12"), (BadAddress, "14"), (TryAgain, "11") })
        {
            TestCalls calls = new();
            using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
            using ProcessorMachine machine = new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);
            machine.Write(Layout.Code, Program);
            machine.StartLong(Layout.Code, 0);
            calls.Answer = (r, _, _) => r == KvmRequest.Run ? -error : null;
            ProcessorExit exit = machine.Run();
            Assert.Equal(ProcessorExitReason.Failed, exit.Reason);
            Assert.Contains($"KVM_RUN: ", exit.Detail, StringComparison.Ordinal);
            Assert.Contains($"(errno {name})", exit.Detail, StringComparison.Ordinal);
            Assert.InRange(calls.Count(KvmRequest.Run), 1, 200);

            // The machine is whole: it goes on when the host does.
            calls.Answer = null;
            Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        }
    }

    [KvmFact]
    public void AnExitThatNobodyKnowsIsAFailureWithItsPlace()
    {
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);
        machine.Write(Layout.Code, [0xe6, 0x80, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        calls.Answer = (r, _, _) => r == KvmRequest.Run ? 0 : null;
        unsafe
        {
            ((KvmProcessor)machine.Processor).SharedPage->ExitReason = 99;
        }

        ProcessorExit exit = machine.Run();
        Assert.Equal(ProcessorExitReason.Failed, exit.Reason);
        Assert.Contains("exit 99", exit.Detail, StringComparison.Ordinal);
        Assert.Contains("RIP 0x100000", exit.Detail, StringComparison.Ordinal);
    }

    [KvmFact]
    public void AHundredMachinesLeaveNothingBehind()
    {
        Create(new TestCalls()).Dispose();
        int descriptors = CountDescriptors();
        int mappings = File.ReadLines("/proc/self/maps").Count(l => l.Contains("anon_inode:kvm", StringComparison.Ordinal));
        for (int n = 0; n < 100; n++)
        {
            using KvmAccelerator accelerator = new(TestOptions.NoControllers);
            using ProcessorMachine machine = new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000, processors: 2);
            machine.Write(Layout.Code, Program);
            machine.StartLong(Layout.Code, 0);
            Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        }

        Assert.Equal(descriptors, CountDescriptors());
        Assert.Equal(mappings, File.ReadLines("/proc/self/maps").Count(l => l.Contains("anon_inode:kvm", StringComparison.Ordinal)));
    }

    // A failure gives back what was made before it.
    private static Composite Create(TestCalls calls)
    {
        KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        try
        {
            return new Composite(accelerator, new ProcessorMachine(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000));
        }
        catch
        {
            accelerator.Dispose();
            throw;
        }
    }

    // KVM's own: the runtime opens and closes files and events whenever it likes.
    private static int CountDescriptors() => Directory.GetFiles("/proc/self/fd")
        .Select(f => new FileInfo(f).LinkTarget)
        .Count(t => t is not null && (t == "/dev/kvm" || t.StartsWith("anon_inode:kvm", StringComparison.Ordinal)));

    private sealed record Composite(KvmAccelerator Accelerator, ProcessorMachine Machine) : IDisposable
    {
        public void Dispose()
        {
            Machine.Dispose();
            Accelerator.Dispose();
        }
    }
}
