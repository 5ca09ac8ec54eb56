using Lamina.Cli.Arguments;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Attaches a disk or a network card.</summary>
internal sealed class AttachVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Attach;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        AttachArguments arguments = exchange.ReadArguments(ControlJson.Default.AttachArguments);
        try
        {
            string name = arguments switch
            {
                { Disk: { } disk, Network: null } => machine.Machine.AttachDisk(DiskArgument.Parse(disk)),
                { Disk: null, Network: { } network } => AttachNetwork(network, arguments.Publish),
                _ => throw new ControlException(ControlErrors.BadArguments, "Give a disk or a network."),
            };
            exchange.Reply(DevicesVerb.Describe(machine.Machine).First(d => d.Name == name), ControlJson.Default.DeviceResult);
        }
        catch (LaminaException e)
        {
            throw new ControlException(ControlErrors.BadArguments, e.Message, e);
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }
    }

    private string AttachNetwork(string text, IReadOnlyList<string> publish)
    {
        IReadOnlyList<NetworkSettings> networks = NetworkArgument.Parse(text, publish);
        return networks.Count == 1 ? machine.Machine.AttachNetwork(networks[0]) : throw new ControlException(ControlErrors.BadArguments, $"'{text}' is no network.");
    }
}
