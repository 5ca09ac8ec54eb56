using Lamina.Boot;
using Lamina.Chipset;
using Lamina.Interop.Memory;
using Lamina.Machine.Processors;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests;

public sealed class VirtualMachineTests
{
    [Fact]
    public void ProcessorsGetTheEntryStateAndTheMachineCanBeQuit()
    {
        FakeAccelerator accelerator = new(_ => TestMachine.Halted);
        VirtualMachine machine = new(TestMachine.Settings(accelerator) with { ProcessorCount = 3 });
        Assert.Equal([0x20_0000UL, 0, 0], accelerator.Processors.Select(p => p.Rip));
        Assert.Equal([0u, 1u, 2u], accelerator.Controllers.Select(c => c.ApicId));
        Assert.Equal(1_000_000_000UL, accelerator.Settings!.TscFrequency);
        machine.Start();
        Assert.Throws<InvalidOperationException>(machine.Start);
        machine.Quit();
        Assert.Equal(new MachineResult(MachineOutcome.Quit), machine.WaitForEndSoon());
        ulong retired = machine.InstructionsRetired;
        machine.Dispose();
        machine.Dispose();
        Assert.True(accelerator.IsDisposed);
        Assert.Equal(retired, machine.InstructionsRetired);
        machine.PressPowerButton();
        machine.PressResetButton();
        machine.Serial0.Write("x"u8);
        machine.Quit();
    }

    [Fact]
    public void AMachineThatNeverStartedCanBeDisposed()
    {
        VirtualMachine machine = new(TestMachine.Settings(_ => TestMachine.Halted));
        machine.Dispose();
        Assert.Equal(MachineOutcome.Quit, machine.WaitForEndSoon().Outcome);
        machine.Start();
    }

    [Fact]
    public void ATripleFaultIsACrash()
    {
        using VirtualMachine machine = new(TestMachine.Settings(_ => new ProcessorExit(ProcessorExitReason.Shutdown)));
        machine.Start();
        MachineResult result = machine.WaitForEndSoon();
        Assert.Equal(MachineOutcome.Crashed, result.Outcome);
        Assert.Contains("triple fault", result.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ATripleFaultCanBeAReboot()
    {
        int runs = 0;
        FakeAccelerator accelerator = new(p => Interlocked.Increment(ref runs) < 5
            ? new ProcessorExit(ProcessorExitReason.Shutdown)
            : new ProcessorExit(ProcessorExitReason.Failed, "enough"));
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with { RestartOnTripleFault = true });
        machine.Start();
        Assert.Equal(new MachineResult(MachineOutcome.Failed, Message: "processor 0 cannot go on: enough"), machine.WaitForEndSoon());

        // Power-on and entry state, at construction and at each of four resets.
        Assert.Equal(10, accelerator.Processors[0].Restores);
    }

    [Fact]
    public void AResetLoadsTheKernelAgain()
    {
        int runs = 0;
        List<byte> seen = [];
        FakeAccelerator? accelerator = null;
        accelerator = new FakeAccelerator(p =>
        {
            Assert.True(accelerator!.Settings!.Memory.TryRead(0x20_0000, out byte first));
            seen.Add(first);
            Assert.True(accelerator.Settings.Memory.TryWrite(0x20_0000, (byte)0xcc));
            if (Interlocked.Increment(ref runs) == 3)
            {
                return new ProcessorExit(ProcessorExitReason.Shutdown);
            }

            accelerator.Settings.Ports.Write(PcAddressMap.ResetControl, [6]);
            return TestMachine.Halted;
        });
        using VirtualMachine machine = new(TestMachine.Settings(accelerator));
        machine.Start();
        Assert.Equal(MachineOutcome.Crashed, machine.WaitForEndSoon().Outcome);
        Assert.Equal([0xf4, 0xf4, 0xf4], seen);
    }

    [Fact]
    public void AResetByTheGuestCanEndTheMachine()
    {
        FakeAccelerator? accelerator = null;
        accelerator = new FakeAccelerator(p =>
        {
            accelerator!.Settings!.Ports.Write(PcAddressMap.ResetControl, [6]);
            return TestMachine.Halted;
        });
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with { OnReboot = RebootAction.Exit });
        machine.Start();
        Assert.Equal(MachineOutcome.Rebooted, machine.WaitForEndSoon().Outcome);
    }

    [Fact]
    public void TheResetButtonWorksWhilePausedAndRunning()
    {
        using SemaphoreSlim runs = new(0);
        FakeAccelerator accelerator = new(p =>
        {
            runs.Release();
            return p.Spin();
        });
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with { ProcessorCount = 2 });
        machine.Start();
        for (int i = 1; i <= 20; i++)
        {
            Assert.True(runs.Wait(TimeSpan.FromSeconds(30)));
            machine.Pause();
            Assert.True(machine.IsPaused);
            ulong before = machine.InstructionsRetired;
            machine.PressResetButton();
            Assert.Equal(before, machine.InstructionsRetired);
            machine.Resume();
            Assert.False(machine.IsPaused);
        }

        machine.Quit();
        machine.WaitForEndSoon();
        Assert.InRange(accelerator.Processors[0].Restores, 3, 42);
    }

    [Fact]
    public void PausingAMachineThatEndsDoesNotHang()
    {
        for (int i = 0; i < 50; i++)
        {
            using VirtualMachine machine = new(TestMachine.Settings(p => p.Spin()));
            machine.Start();
            Thread quitter = new(machine.Quit);
            quitter.Start();
            machine.Pause();
            machine.Resume();
            quitter.Join();
            Assert.Equal(MachineOutcome.Quit, machine.WaitForEndSoon().Outcome);
        }
    }

    [Fact]
    public void ExceptionsOfTheAcceleratorEndTheMachineNotTheProcess()
    {
        using VirtualMachine machine = new(TestMachine.Settings(_ => throw new InvalidOperationException("bug")));
        machine.Start();
        MachineResult result = machine.WaitForEndSoon();
        Assert.Equal(MachineOutcome.Failed, result.Outcome);
        Assert.Equal("processor 0 cannot go on: internal error: InvalidOperationException: bug", result.Message);
        Assert.Contains(nameof(ExceptionsOfTheAcceleratorEndTheMachineNotTheProcess), result.Details, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0UL, "0 MiB")]
    [InlineData(1UL << 20, "1 MiB")]
    [InlineData((16UL << 20) + 1, "16777217 bytes")]
    [InlineData(1UL << 50, "1073741824 MiB")]
    public void AbsurdMemoryIsRefused(ulong size, string reason)
    {
        Refuse(TestMachine.Settings(_ => TestMachine.Halted) with { MemorySize = size }, reason);
    }

    [Fact]
    public void MoreMemoryThanTheHostHasIsRefused()
    {
        Assert.SkipWhen(HostMemory.TotalSize >= MachineSettings.MaximumMemorySize, "the host has as much memory as the largest machine");
        Refuse(TestMachine.Settings(_ => TestMachine.Halted) with { MemorySize = MachineSettings.MaximumMemorySize }, "the host has");
    }

    [Fact]
    public void OnlyDisksOfMachinesThatShowXenKeepGrants()
    {
        MachineSettings settings = TestMachine.Settings(_ => TestMachine.Halted);
        Refuse(settings with { Disks = [new DiskSettings { Path = "/nonexistent", HasPersistentGrants = true }] }, "only machines that show Xen have grants");
        Refuse(settings with { Personality = PersonalityKind.Xen, Disks = [new DiskSettings { Path = "/nonexistent", HasPersistentGrants = true }] }, "'/nonexistent'");
    }

    [Theory]
    [InlineData(PersonalityKind.Xen, 128UL << 20, "Only a machine that shows Hyper-V")]
    [InlineData(PersonalityKind.HyperV, 256UL << 20, "cannot start with 256 MiB")]
    [InlineData(PersonalityKind.HyperV, 2UL << 20, "cannot start with 2 MiB")]
    [InlineData(PersonalityKind.HyperV, 64UL << 20, "in pieces of 128 MiB")]
    public void MemoryThatComesLaterIsCheckedBeforeAnythingIsMade(PersonalityKind personality, ulong start, string reason)
    {
        Refuse(TestMachine.Settings(_ => TestMachine.Halted) with { Personality = personality, MemorySize = 256UL << 20, StartMemorySize = start }, reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(65)]
    public void AbsurdProcessorCountsAreRefused(int count)
    {
        Refuse(TestMachine.Settings(_ => TestMachine.Halted) with { ProcessorCount = count }, $"{count} processors; 1 to 64 are accepted");
    }

    [Fact]
    public void WhatCannotBeBootedIsRefused()
    {
        MachineSettings settings = TestMachine.Settings(_ => TestMachine.Halted);
        Refuse(settings with { CpuModel = "486" }, "no CPU model '486'; x86-64-v2, x86-64-v3, max are accepted");
        Refuse(settings with { Boot = new BootSource { Kernel = BootImage.FromFile("/nonexistent") } }, "'/nonexistent' does not exist");
        Refuse(settings with { Boot = settings.Boot! with { Initrd = BootImage.FromBytes(new byte[16 << 20], "initrd") } }, "'initrd' has 16777216 bytes");
    }

    [Fact]
    public void TheLargestMachineCanBeMade()
    {
        const ulong AboveFourGibibytes = 6UL << 30;
        ulong size = HostMemory.TotalSize >= AboveFourGibibytes ? AboveFourGibibytes : 64UL << 20;
        using VirtualMachine machine = new(TestMachine.Settings(_ => TestMachine.Halted) with { ProcessorCount = 64, MemorySize = size });
        machine.Start();
        machine.Quit();
        machine.WaitForEndSoon();
    }

    private static void Refuse(MachineSettings settings, string reason)
    {
        MachineConfigurationException e = Assert.Throws<MachineConfigurationException>(() => new VirtualMachine(settings));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }
}
