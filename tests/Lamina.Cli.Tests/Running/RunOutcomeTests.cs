using Lamina.Cli.Running;
using Lamina.Interop;
using Lamina.Vmm;

namespace Lamina.Cli.Tests.Running;

public sealed class RunOutcomeTests
{
    [Theory]
    [InlineData(MachineOutcome.PoweredOff, null, 0)]
    [InlineData(MachineOutcome.Rebooted, null, 0)]
    [InlineData(MachineOutcome.Quit, null, 0)]
    [InlineData(MachineOutcome.Quit, 143, 143)]
    [InlineData(MachineOutcome.Failed, null, 125)]
    [InlineData(MachineOutcome.Crashed, null, 134)]
    internal void The_end_of_the_machine_gives_the_status(MachineOutcome outcome, int? signal, int status)
    {
        Assert.Equal(status, RunOutcome.Decide(new MachineResult(outcome), signal, null, null, imageFailed: false).Status);
    }

    [Fact]
    public void A_command_gives_its_own_status()
    {
        Assert.Equal(new RunOutcome(3, null), RunOutcome.Decide(new MachineResult(MachineOutcome.Quit), null, 3, null, imageFailed: false));
    }

    [Fact]
    public void An_image_that_never_became_ready_has_failed()
    {
        Assert.Equal(125, RunOutcome.Decide(new MachineResult(MachineOutcome.PoweredOff), null, null, null, imageFailed: true).Status);
        Assert.Equal(134, RunOutcome.Decide(new MachineResult(MachineOutcome.Quit), null, null, "no init", imageFailed: true).Status);
        Assert.Equal(0, RunOutcome.Decide(new MachineResult(MachineOutcome.Quit), null, null, null, imageFailed: true).Status);
    }

    [Fact]
    public void An_output_that_fails_gives_the_status()
    {
        Assert.Null(RunOutcome.ForFailedOutput(null, "standard output"));
        Assert.Equal(new RunOutcome(141, null), RunOutcome.ForFailedOutput(new SystemCallException("write", 32), "standard output"));
        Assert.Equal(
            new RunOutcome(125, "standard output cannot be written: No space left on device"),
            RunOutcome.ForFailedOutput(new SystemCallException("write", 28), "standard output"));
    }

    [Fact]
    public void A_test_guests_code_is_the_status()
    {
        Assert.Equal(33, RunOutcome.Decide(new MachineResult(MachineOutcome.TestExit, 33), null, null, null, imageFailed: false).Status);
    }
}
