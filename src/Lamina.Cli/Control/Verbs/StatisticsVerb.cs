using System.Globalization;
using Lamina.Cli.Host;
using Lamina.Machine.Processors;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Control.Verbs;

/// <summary>Says what the machine has counted.</summary>
internal sealed class StatisticsVerb(ControlledMachine machine) : IControlVerb
{
    private const string OwnStatus = "/proc/self/status";

    /// <inheritdoc/>
    public string Name => ControlVerbs.Statistics;

    /// <inheritdoc/>
    public void Execute(ControlExchange exchange)
    {
        Vmm.VirtualMachine vm = machine.Machine;
        ProcessorCounters counters = vm.Counters;
        MachineStatistics statistics = new()
        {
            Accelerator = vm.AcceleratorName,
            Instructions = vm.InstructionsRetired,
            Exits = counters.Exits,
            ExitsByKind = counters.Exits == 0 ? null : Describe(counters),
            TranslatedBlocks = machine.Translations.Count,
            TranslatedBytes = machine.Translations.GuestBytes,
            AssistedInstructions = counters.AssistedInstructions,
            MachineSeconds = vm.MachineTime.TotalSeconds,
            ProcessorSeconds = Environment.CpuUsage.TotalTime.TotalSeconds,
            Memory = new MemoryStatistics { GuestBytes = vm.Settings.MemorySize, ResidentBytes = ReadSize("VmRSS"), AnonymousBytes = ReadSize("RssAnon") },
            Disks = [.. vm.DiskTraffic.Select(Describe)],
            Networks = [.. vm.NetworkTraffic.Select(Describe)],
            Balloon = vm.Balloon is { } balloon
                ? new BalloonStatistics { TargetBytes = balloon.Target, Bytes = balloon.Size, ReportedBytes = balloon.ReportedBytes, Obstacle = balloon.Obstacle }
                : null,
            ConsoleBytes = machine.Console.Total,
        };
        exchange.Reply(statistics, ControlJson.Default.MachineStatistics);
    }

    private static ExitStatistics Describe(ProcessorCounters counters) => new()
    {
        Port = counters.PortExits,
        Mmio = counters.MmioExits,
        Msr = counters.MsrExits,
        Halt = counters.HaltExits,
        Other = counters.Exits - counters.PortExits - counters.MmioExits - counters.MsrExits - counters.HaltExits,
    };

    private static TrafficStatistics Describe(Vmm.DeviceTraffic device) => new()
    {
        Name = device.Device,
        InCount = device.Traffic.InCount,
        InBytes = device.Traffic.InBytes,
        OutCount = device.Traffic.OutCount,
        OutBytes = device.Traffic.OutBytes,
    };

    // A line such as "VmRSS:	  1234 kB".
    private static ulong ReadSize(string field)
    {
        string number = HostFiles.ReadField(OwnStatus, field).Split(' ')[0];
        return ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out ulong kibibytes) ? kibibytes << 10 : 0;
    }
}
