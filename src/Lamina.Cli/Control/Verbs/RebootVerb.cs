using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Asks the guest to start again.</summary>
internal sealed class RebootVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Reboot;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        try
        {
            if (!machine.Machine.TryRestart())
            {
                throw new ControlException(ControlErrors.Refused, "The guest has no driver or program by which it is asked to start again; 'lamina reset' presses the reset button.");
            }
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.Reply();
    }
}
