using Lamina.Machine.Limits;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Changes the limits of a disk or a network card.</summary>
internal sealed class LimitVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Limit;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        LimitArguments arguments = exchange.ReadArguments(ControlJson.Default.LimitArguments);
        DeviceLimits? limits = arguments.Limits;
        if (limits == null || limits.OperationsPerSecond == 0 || limits.BytesPerSecond == 0 || limits.BurstMilliseconds == 0)
        {
            throw new ControlException(ControlErrors.BadArguments, "limits is an object, in which each limit is 1 or more; what has no limit is left out.");
        }

        try
        {
            machine.Machine.SetLimits(arguments.Device, new IoLimits
            {
                OperationsPerSecond = limits.OperationsPerSecond ?? 0,
                BytesPerSecond = limits.BytesPerSecond ?? 0,
                BurstMilliseconds = limits.BurstMilliseconds,
            });
        }
        catch (MachineConfigurationException e)
        {
            throw new ControlException(ControlErrors.Refused, e.Message, e);
        }

        exchange.Reply(DevicesVerb.Describe(machine.Machine).FirstOrDefault(d => d.Name == arguments.Device) ?? new DeviceResult { Name = arguments.Device }, ControlJson.Default.DeviceResult);
    }
}
