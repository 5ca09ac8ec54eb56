using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Makes a disk larger.</summary>
internal sealed class ResizeDiskVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.ResizeDisk;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        ResizeDiskArguments arguments = exchange.ReadArguments(ControlJson.Default.ResizeDiskArguments);
        try
        {
            machine.Machine.ResizeDisk(arguments.Device, arguments.Bytes);
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.Reply();
    }
}
