using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Starts the machine again as by its reset button.</summary>
internal sealed class ResetVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Reset;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        machine.Machine.PressResetButton();
        exchange.Reply();
    }
}
