using Lamina.Guests.Machines;
using Lamina.Guests.Stress;
using Lamina.SoftCpu;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>What is hard for a translator, as a process of a real kernel does it.</summary>
public sealed class StressTests
{
    [Theory]
    [InlineData("translator", 1)]
    [InlineData("translator", 2)]
    public void Every_case_gives_the_right_result(string accelerator, int processors)
    {
        Run(accelerator, processors);
    }

    [Fact]
    public void In_lockstep_too()
    {
        // The boot is compared now and then, so that the cases are reached soon.
        LockstepMonitor monitor = new() { FirstRuns = 8, Interval = 256 };
        Run("translator", 1, new TranslatorOptions { Lockstep = monitor });
        Assert.Null(monitor.Difference?.Summary);
        Assert.True(monitor.Compared > 100_000, $"{monitor.Compared} pieces compared");
    }

    private static void Run(string accelerator, int processors, TranslatorOptions? translator = null)
    {
        StressProgram program = StressProgram.Create(threads: processors > 1);
        using GuestMachine guest = GuestMachine.StartProgram(program.File, accelerator, processors, translator);
        foreach (string name in program.Cases)
        {
            string text = guest.Expect($"^(pass|FAIL) {name}\r?$");
            Assert.Contains($"pass {name}", text, StringComparison.Ordinal);
        }

        guest.Expect("^done\r?$");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.DoesNotContain("segfault", guest.Console, StringComparison.Ordinal);
    }
}
