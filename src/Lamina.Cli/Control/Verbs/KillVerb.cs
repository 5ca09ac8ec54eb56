using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Ends the machine as by pulling the plug.</summary>
internal sealed class KillVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Kill;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        machine.Quit();
        machine.Machine.WaitForEnd();
        exchange.Reply();
    }
}
