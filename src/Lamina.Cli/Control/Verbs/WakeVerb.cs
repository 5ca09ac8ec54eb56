using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Wakes a guest that has suspended itself to RAM.</summary>
internal sealed class WakeVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Wake;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        if (!machine.Machine.IsAsleep)
        {
            throw new ControlException(ControlErrors.Refused, "The guest is not asleep.");
        }

        machine.Machine.Wake();
        exchange.Reply();
    }
}
