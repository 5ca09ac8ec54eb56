using Iced.Intel;
using Lamina.Boot;
using Lamina.Kvm;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Tests.Fakes;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Vmm.Tests.Interrupts;

/// <summary>Kicks, signals and the end of machines under KVM while everything is busy: nobody is lost, nobody waits for ever, and nothing is left behind.</summary>
[Collection(AloneCollection.Name)]
public sealed class KickTests
{
    private const int Machines = 8;

    public static TheoryData<KvmControllers> Places => [KvmControllers.Off, KvmControllers.Split, KvmControllers.On];

    // Never leaves by itself, halts for each millisecond, and writes to a port all the time.
    public static TheoryData<KvmControllers, string> Guests
    {
        get
        {
            TheoryData<KvmControllers, string> data = [];
            foreach (KvmControllers controllers in (KvmControllers[])[KvmControllers.Off, KvmControllers.Split, KvmControllers.On])
            {
                foreach (string guest in (string[])["spins", "halts", "exits"])
                {
                    data.Add(controllers, guest);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Guests))]
    public void PausesAndResumesGetThroughWhateverTheGuestDoes(KvmControllers controllers, string guest)
    {
        using VirtualMachine machine = Create(controllers, CreateGuest(guest), processors: 2);
        machine.Start();
        for (int n = 0; n < 200; n++)
        {
            machine.Pause();
            Assert.True(machine.IsPaused);
            machine.Resume();
            Assert.False(machine.IsPaused);
        }

        machine.Quit();
        Assert.Equal(MachineOutcome.Quit, machine.WaitForEndSoon().Outcome);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void ManyMachinesEndAtOnceWhileTheyAreBusy(KvmControllers controllers)
    {
        int before = CountDescriptors();
        List<VirtualMachine> machines = [];
        try
        {
            for (int n = 0; n < Machines; n++)
            {
                VirtualMachine machine = Create(controllers, CreateGuest(n % 3 == 0 ? "spins" : n % 3 == 1 ? "halts" : "exits"), processors: 2);
                machines.Add(machine);
                machine.Start();
            }

            // From many threads, together with resets and the power button.
            Parallel.ForEach(machines, new ParallelOptions { MaxDegreeOfParallelism = Machines, CancellationToken = TestContext.Current.CancellationToken }, static machine =>
            {
                machine.PressResetButton();
                machine.Pause();
                machine.PressPowerButton();
                machine.Resume();
                machine.Quit();
            });
            Assert.All(machines, static m => Assert.Equal(MachineOutcome.Quit, m.WaitForEndSoon().Outcome));
        }
        finally
        {
            machines.ForEach(static m =>
            {
                m.Dispose();
                ((IDisposable)m.Settings.Accelerator).Dispose();
            });
        }

        Assert.Equal(before, CountDescriptors());
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void AHundredMachinesOneAfterAnotherLeaveNothingBehind(KvmControllers controllers)
    {
        BootImage image = InterruptProgram.Create(static p =>
        {
            p.Code.mov(ebx, 1);
            p.HaltUntil(0);
        });
        RunOnce(controllers, image);
        int descriptors = CountDescriptors();
        int mappings = CountMappings();
        for (int n = 0; n < 100; n++)
        {
            RunOnce(controllers, image);
        }

        Assert.Equal(descriptors, CountDescriptors());
        Assert.Equal(mappings, CountMappings());
    }

    private static void RunOnce(KvmControllers controllers, BootImage image)
    {
        using VirtualMachine machine = Create(controllers, image, processors: 1);
        machine.Start();
        machine.Quit();
        machine.WaitForEndSoon();
        ((IDisposable)machine.Settings.Accelerator).Dispose();
    }

    private static VirtualMachine Create(KvmControllers controllers, BootImage image, int processors) => new(TestMachine.Settings(TestKvm.Create(controllers)) with
    {
        Boot = new BootSource { Kernel = image },
        Serial0 = NullCharacterOutput.Instance,
        ProcessorCount = processors,
    });

    private static BootImage CreateGuest(string guest) => InterruptProgram.Create(p =>
    {
        Label loop = p.Code.CreateLabel();
        p.Code.cli();
        switch (guest)
        {
            case "spins":
                p.Code.Label(ref loop);
                p.Code.inc(eax);
                p.Code.jmp(loop);
                break;
            case "exits":
                p.Code.mov(dx, 0x3ff);
                p.Code.Label(ref loop);
                p.Code.@out(dx, al);
                p.Code.jmp(loop);
                break;
            default:
                p.SetGate(InterruptProgram.TimerVector, _ => p.EndOfInterrupt());
                p.WriteLocal(0xf0, 0x1ff);
                p.WriteLocal(0x3e0, 0xb);
                p.WriteLocal(0x320, 0x2_0000 | InterruptProgram.TimerVector);
                p.WriteLocal(0x380, 1_000_000);
                p.Code.xor(ebx, ebx);
                p.HaltUntil(int.MaxValue);
                break;
        }
    });

    // KVM's own: the runtime opens and closes files and events whenever it likes. What other tests have left to the collector goes first.
    private static int CountDescriptors()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Directory.GetFiles("/proc/self/fd")
            .Select(static f => new FileInfo(f).LinkTarget)
            .Count(static t => t is not null && (t == "/dev/kvm" || t.StartsWith("anon_inode:kvm", StringComparison.Ordinal)));
    }

    private static int CountMappings() => File.ReadLines("/proc/self/maps").Count(static l => l.Contains("anon_inode:kvm", StringComparison.Ordinal));
}
