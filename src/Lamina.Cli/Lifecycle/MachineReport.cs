using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>What a machine says of itself, for people: a name and a value on each line.</summary>
internal static class MachineReport
{
    private const int Column = 16;

    /// <summary>Writes a status.</summary>
    public static void Write(TextWriter output, MachineStatus status)
    {
        Line(output, "name", status.Name);
        Line(output, "state", status.State);
        Line(output, "source", status.Source);
        Line(output, "process", Number(status.Pid));
        Line(output, "started", status.StartedAt.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture));
        Line(output, "time", MachineTable.FormatTime(status.MachineSeconds));
        Line(output, "accelerator", status.Accelerator);
        Line(output, "cpu", $"{status.Processors} x {status.CpuModel}");
        Line(output, "memory", MemorySize.Format(status.MemoryBytes));
        Line(output, "consoles", $"{Number(status.AttachedConsoles)} attached{(status.Detached ? ", no terminal of its own" : "")}");
        Line(output, "sandbox", status.Sandbox);
        foreach (string missing in status.SandboxMissing)
        {
            Line(output, "not confined", missing);
        }

        foreach (string disk in status.Disks)
        {
            Line(output, "disk", disk);
        }

        if (status.WithheldFeatures.Count > 0)
        {
            Line(output, "withheld", string.Join(", ", status.WithheldFeatures));
        }

        if (status.Guest is { } guest)
        {
            LineIfAny(output, "heartbeat", guest.Heartbeat);
            LineIfAny(output, "guest", guest.OperatingSystem);
            LineIfAny(output, "guest name", guest.HostName);
            LineIfAny(output, "addresses", string.Join(", ", guest.Addresses));
        }
    }

    /// <summary>Writes statistics.</summary>
    public static void Write(TextWriter output, MachineStatistics statistics)
    {
        Line(output, "accelerator", statistics.Accelerator);
        Line(output, "time", MachineTable.FormatTime(statistics.MachineSeconds));
        Line(output, "host time", string.Create(CultureInfo.InvariantCulture, $"{statistics.ProcessorSeconds:F1} s of processors"));
        Line(output, "instructions", Number(statistics.Instructions));
        if (statistics.Exits > 0)
        {
            ExitStatistics kinds = statistics.ExitsByKind ?? new ExitStatistics();
            Line(output, "exits", $"{Number(statistics.Exits)}: {Number(kinds.Port)} for ports, {Number(kinds.Mmio)} for registers in memory, {Number(kinds.Msr)} for MSRs, {Number(kinds.Halt)} to halt, {Number(kinds.Other)} other");
            Line(output, "assisted", $"{Number(statistics.AssistedInstructions)} instructions");
        }

        if (statistics.TranslatedBlocks > 0)
        {
            Line(output, "translated", $"{Number(statistics.TranslatedBlocks)} blocks, {Number(statistics.TranslatedBytes)} bytes");
        }

        MemoryStatistics memory = statistics.Memory;
        Line(output, "memory", $"{MemorySize.Format(memory.ResidentBytes)} resident, {MemorySize.Format(memory.AnonymousBytes)} of it its own; the guest has {MemorySize.Format(memory.GuestBytes)}");
        if (statistics.Balloon is { } balloon)
        {
            Line(output, "balloon", $"{MemorySize.Format(balloon.Bytes)} of {MemorySize.Format(balloon.TargetBytes)} given back, {MemorySize.Format(balloon.ReportedBytes)} reported free");
            LineIfAny(output, "added memory", balloon.Obstacle ?? "");
        }

        WriteTraffic(output, statistics.Disks, "reads", "writes");
        WriteTraffic(output, statistics.Networks, "received", "sent");
        Line(output, "console", $"{Number(statistics.ConsoleBytes)} bytes");
    }

    private static void WriteTraffic(TextWriter output, IReadOnlyList<TrafficStatistics> devices, string inward, string outward)
    {
        foreach (TrafficStatistics device in devices)
        {
            Line(
                output,
                device.Name,
                $"{Number(device.InCount)} {inward} ({MemorySize.Format(device.InBytes)}), {Number(device.OutCount)} {outward} ({MemorySize.Format(device.OutBytes)})");
        }
    }

    private static void LineIfAny(TextWriter output, string name, string value)
    {
        if (value.Length > 0)
        {
            Line(output, name, value);
        }
    }

    private static string Number<T>(T value)
        where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);

    private static void Line(TextWriter output, string name, string value) => output.WriteLine($"{name.PadRight(Column)}{value}");
}
