using Lamina.Cli.Lifecycle;
using Lamina.Management.Protocol;
using Lamina.Vmm;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Lists the disks and network cards.</summary>
internal sealed class DevicesVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Devices;

    /// <summary>Describes them.</summary>
    public static DeviceResult[] Describe(VirtualMachine machine)
    {
        MachineSettings settings = machine.CurrentSettings;
        return
        [
            .. settings.Disks.Select(static d => new DeviceResult { Name = $"disk{d.Number}", Slot = d.Slot, Source = d.Path, Limits = DeviceReport.FindLimits(d.Limits) }),
            .. settings.Networks.Select(static n => new DeviceResult
            {
                Name = $"net{n.Number}",
                Slot = n.Slot,
                Source = n.Kind == NetworkKind.User ? "user" : $"{(n.Kind == NetworkKind.Tap ? "tap" : "bridge")}={n.Name}",
                Limits = DeviceReport.FindLimits(n.Limits),
            }),
        ];
    }

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange) => exchange.Reply(Describe(machine.Machine), ControlJson.Default.DeviceResultArray);
}
