using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Asks the guest to switch itself off, waits, and ends the machine if it does not.</summary>
internal sealed class StopVerb(ControlledMachine machine) : IControlVerb
{
    private const double LongestTimeout = 86400;

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

        machine.AskToPowerOff();

        // A guest that stands still cannot switch itself off.
        machine.Machine.Resume();
        bool ended = machine.Machine.Completion.Wait(TimeSpan.FromSeconds(arguments.TimeoutSeconds));
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
