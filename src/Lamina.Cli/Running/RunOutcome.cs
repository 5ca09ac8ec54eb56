using Lamina.Interop;
using Lamina.Vmm;

namespace Lamina.Cli.Running;

/// <summary>What the end of a machine means for the person who started it.</summary>
/// <param name="Status">The exit status.</param>
/// <param name="Message">What to say, or null.</param>
internal sealed record RunOutcome(int Status, string? Message)
{
    // SIGPIPE, which the runtime turns into an error.
    private const int BrokenPipeSignal = 13;

    /// <summary>The outcome if an output could not be written, or null if it could.</summary>
    /// <param name="failure">Why not. A reader that went away is nothing to talk about; a program of one process would have been ended by SIGPIPE.</param>
    /// <param name="name">What messages call it.</param>
    public static RunOutcome? ForFailedOutput(SystemCallException? failure, string name)
    {
        return failure switch
        {
            null => null,
            { ErrorNumber: ErrorNumber.BrokenPipe } => new RunOutcome(ExitStatus.SignalBase + BrokenPipeSignal, null),
            _ => new RunOutcome(ExitStatus.Failure, $"{name} cannot be written: {failure.Reason}"),
        };
    }

    /// <summary>Decides.</summary>
    /// <param name="result">How the machine ended.</param>
    /// <param name="signalStatus">The status for the signal that ended it, or null.</param>
    /// <param name="commandStatus">The command's status, or null if it has not ended.</param>
    /// <param name="panic">The reason of a panic that was seen on the console, or null.</param>
    /// <param name="imageFailed">An image's machine ended before its shell or command was started.</param>
    public static RunOutcome Decide(MachineResult result, int? signalStatus, int? commandStatus, string? panic, bool imageFailed)
    {
        if (commandStatus is { } status)
        {
            return new RunOutcome(status, null);
        }

        if (panic != null)
        {
            return new RunOutcome(ExitStatus.GuestCrashed, $"the guest crashed: kernel panic: {panic}");
        }

        return result.Outcome switch
        {
            MachineOutcome.Crashed => new RunOutcome(ExitStatus.GuestCrashed, $"the guest crashed: {result.Message ?? "no reason was reported"}"),
            MachineOutcome.Failed => new RunOutcome(ExitStatus.Failure, result.Message ?? "the machine could not go on."),
            MachineOutcome.TestExit => new RunOutcome((result.Code ?? 0) & 0xff, null),
            MachineOutcome.Quit => new RunOutcome(signalStatus ?? ExitStatus.Success, null),
            _ when imageFailed => new RunOutcome(ExitStatus.Failure, "the guest switched itself off before the image was ready. Look at its messages with --verbose."),
            _ => new RunOutcome(ExitStatus.Success, null),
        };
    }
}
