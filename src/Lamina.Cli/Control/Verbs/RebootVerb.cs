using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Asks the guest to start again.</summary>
internal sealed class RebootVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Reboot;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        if (!machine.Machine.TryRestart())
        {
            throw new ControlException(ControlErrors.Refused, "The guest has no driver or program by which it is asked to start again; 'lamina reset' presses the reset button.");
        }

        exchange.Reply();
    }
}
