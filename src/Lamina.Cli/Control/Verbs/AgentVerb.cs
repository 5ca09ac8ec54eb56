using Lamina.Management.Protocol;
using Lamina.Vmm.Agent;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Says where the guest's agent is reached.</summary>
internal sealed class AgentVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Agent;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        string path = machine.Machine.Settings.Sockets?.Path
            ?? throw new ControlException(ControlErrors.Refused, "The machine has no sockets to its guest: those of images have, and others with --vsock.");

        // A confined process connects to nobody, itself included; the client finds out.
        bool isReady = !machine.Sandbox.IsOn && new GuestAgent(path).IsReady();
        AgentResult result = new() { Socket = Path.GetFullPath(path), Port = AgentProtocol.Port, Ready = isReady };
        exchange.Reply(result, ControlJson.Default.AgentResult);
    }
}
