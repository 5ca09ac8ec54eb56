using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Has processors and clock stand still.</summary>
internal sealed class PauseVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Pause;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        machine.Machine.Pause();
        exchange.Reply();
    }
}
