using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>The list of machines, for people.</summary>
internal static class MachineTable
{
    private static readonly string[] Titles = ["NAME", "STATE", "ACCELERATOR", "CPUS", "MEMORY", "TIME", "PID", "SOURCE"];

    /// <summary>Writes it.</summary>
    public static void Write(TextWriter output, IReadOnlyList<MachineStatus> machines)
    {
        string[][] rows = [Titles, .. machines.Select(Describe)];
        int[] widths = new int[Titles.Length];
        for (int column = 0; column < widths.Length - 1; column++)
        {
            widths[column] = rows.Max(r => r[column].Length) + 2;
        }

        foreach (string[] row in rows)
        {
            output.WriteLine(string.Concat(row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
        }
    }

    /// <summary>A length of time: "12s", "3m05s", "4h03m".</summary>
    public static string FormatTime(double seconds)
    {
        TimeSpan time = TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 1e9));
        return time.TotalMinutes < 1 ? string.Create(CultureInfo.InvariantCulture, $"{time.Seconds}s")
            : time.TotalHours < 1 ? string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}m{time.Seconds:00}s")
            : string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}h{time.Minutes:00}m");
    }

    private static string[] Describe(MachineStatus machine)
    {
        string process = machine.Pid.ToString(CultureInfo.InvariantCulture);
        return machine.State == MachineState.Unresponsive
            ? [machine.Name, machine.State, "-", "-", "-", "-", process, "-"]
            :
            [
                machine.Name,
                machine.State,
                machine.Accelerator,
                machine.Processors.ToString(CultureInfo.InvariantCulture),
                MemorySize.Format(machine.MemoryBytes),
                FormatTime(machine.MachineSeconds),
                process,
                machine.Source,
            ];
    }
}
