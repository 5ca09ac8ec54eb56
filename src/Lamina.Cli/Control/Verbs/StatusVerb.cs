using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Says what the machine is and how it does.</summary>
internal sealed class StatusVerb(ControlledMachine machine) : IControlVerb
{
    /// <inheritdoc/>
    public string Name => ControlVerbs.Status;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        Vmm.VirtualMachine vm = machine.Machine;
        MachineStatus status = new()
        {
            Name = machine.Name,
            Pid = Environment.ProcessId,
            State = vm.Completion.IsCompleted ? MachineState.Ended : vm.IsPaused ? MachineState.Paused : vm.IsAsleep ? MachineState.Asleep : MachineState.Running,
            Source = machine.Source,
            Accelerator = vm.AcceleratorName,
            CpuModel = vm.Settings.CpuModel,
            Processors = vm.Settings.ProcessorCount,
            MemoryBytes = vm.Settings.MemorySize,
            StartedAt = machine.StartedAt,
            MachineSeconds = vm.MachineTime.TotalSeconds,
            Detached = machine.IsDetached,
            AttachedConsoles = machine.Attached,
            Disks = [.. vm.CurrentSettings.Disks.Select(static d => d.Path)],
            Sandbox = machine.Sandbox.Describe(),
            SandboxMissing = machine.Sandbox.Missing,
            WithheldFeatures = vm.WithheldFeatures,
            PostCode = vm.PostCode,
            Guest = vm.Guest is { } guest ? Describe(guest) : null,
        };
        exchange.Reply(status, ControlJson.Default.MachineStatus);
    }

    private static GuestStatus Describe(Vmm.GuestReport guest) => new()
    {
        Heartbeat = guest.IsAlive switch { true => "alive", false => "silent", null => "" },
        HostName = guest.HostName ?? "",
        OperatingSystem = guest.OperatingSystem ?? "",
        Addresses = guest.Addresses,
    };
}
