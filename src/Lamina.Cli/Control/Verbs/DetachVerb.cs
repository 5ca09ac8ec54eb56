using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Has the guest give up a disk or a network card.</summary>
internal sealed class DetachVerb(ControlledMachine machine) : IControlVerb
{
    private const double LongestTimeout = 86400;

    /// <inheritdoc/>
    public string Name => ControlVerbs.Detach;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        DetachArguments arguments = exchange.ReadArguments(ControlJson.Default.DetachArguments);
        if (arguments.TimeoutSeconds is not (>= 0 and <= LongestTimeout))
        {
            throw new ControlException(ControlErrors.BadArguments, $"timeoutSeconds is 0 to {LongestTimeout}.");
        }

        try
        {
            if (!machine.Machine.Detach(arguments.Device, TimeSpan.FromSeconds(arguments.TimeoutSeconds)))
            {
                throw new ControlException(ControlErrors.Refused, $"The guest has not given '{arguments.Device}' up in time. It goes when the guest ejects it, or with the next reset.");
            }
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.Reply();
    }
}
