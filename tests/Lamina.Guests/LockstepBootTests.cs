using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.SoftCpu;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>A kernel boots while every translated block is compared with the interpreter.</summary>
public sealed class LockstepBootTests
{
    [Fact]
    public void Debians_kernel_boots_and_powers_off_without_a_difference()
    {
        // Every block some times; all runs would take an hour.
        LockstepMonitor monitor = new() { FirstRuns = 32, Interval = 512 };
        using GuestMachine guest = GuestMachine.StartDebian(DebianImage.Cloud, "translator", append: "quiet", translator: new TranslatorOptions { Lockstep = monitor });
        guest.ExpectPrompt();
        Assert.Equal("3628800", guest.Run("n=1; for i in 1 2 3 4 5 6 7 8 9 10; do n=$((n*i)); done; echo $n"));
        Assert.Contains("busybox", guest.Run("ls -l /bin | sort | gzip | gunzip | grep busybox | head -n 3"), StringComparison.Ordinal);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.Null(monitor.Difference?.Summary);
        Assert.True(monitor.Compared > 500_000, $"{monitor.Compared} pieces compared");
        Assert.True(monitor.Skipped < monitor.Compared / 100, $"{monitor.Skipped} of {monitor.Compared} pieces skipped");
    }
}
