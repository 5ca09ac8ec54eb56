using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Asks the guest to switch itself off, waits, and ends the machine if it does not.</summary>
internal sealed class StopVerb(ControlledMachine machine) : IControlVerb
{
    private const double LongestTimeout = 86400;

    // A guest that wakes does not take the button that woke it as a wish, and needs a while before it takes another.
    private static readonly TimeSpan WakingTime = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public string Name => ControlVerbs.Stop;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        StopArguments arguments = exchange.ReadArguments(ControlJson.Default.StopArguments);
        if (arguments.TimeoutSeconds is not (>= 0 and <= LongestTimeout))
        {
            throw new ControlException(ControlErrors.BadArguments, $"timeoutSeconds is 0 to {LongestTimeout}.");
        }

        bool wakes = machine.Machine.IsAsleep;
        machine.AskToPowerOff();

        // A guest that stands still cannot switch itself off.
        machine.Machine.Resume();
        TimeSpan left = TimeSpan.FromSeconds(arguments.TimeoutSeconds);
        for (; wakes && left > WakingTime && !machine.Machine.Completion.Wait(WakingTime); left -= WakingTime)
        {
            machine.AskToPowerOff();
        }

        bool ended = machine.Machine.Completion.Wait(left);
        if (!ended)
        {
            if (!arguments.Force)
            {
                throw new ControlException(ControlErrors.Refused, "The guest did not switch itself off in time.");
            }

            machine.Quit();
            machine.Machine.WaitForEnd();
        }

        exchange.Reply(new StopResult { Forced = !ended }, ControlJson.Default.StopResult);
    }
}
