using Lamina.Boot.Cpu;
using Lamina.Kvm;

namespace Lamina.Vmm.Tests.Fakes;

/// <summary>KVM for a test, which is skipped, with the reason, where it cannot be used.</summary>
internal static class TestKvm
{
    private const ulong TimerFrequency = 1_000_000_000;

    /// <summary>Opens it.</summary>
    public static KvmAccelerator Create(KvmControllers controllers = KvmControllers.Off, bool rings = false)
    {
        if (KvmHost.FindProblem() is { } problem)
        {
            Assert.Skip(problem);
        }

        KvmAccelerator accelerator = new(new KvmOptions { Controllers = controllers, DirtyRings = rings });
        if (controllers is KvmControllers.Split or KvmControllers.On && accelerator.TscFrequency is { } frequency && CpuModel.GetCrystalFrequency(frequency) != TimerFrequency)
        {
            accelerator.Dispose();
            Assert.Skip($"KVM's local APIC timers run at {TimerFrequency} Hz, which guests cannot be told beside a time-stamp counter at {frequency} Hz");
        }

        return accelerator;
    }
}
