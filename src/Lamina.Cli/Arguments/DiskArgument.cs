using Lamina.Machine.Limits;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--disk</c>: a file, then settings after commas.</summary>
internal static class DiskArgument
{
    private static readonly string[] Settings = ["format=raw", "format=qcow2", "readonly", "serial=TEXT", "iops=N", "bps=SIZE", "burst=MILLISECONDS", "werror=report", "werror=stop", "cache=none", "grants=persistent"];

    /// <summary>Parses the value.</summary>
    /// <exception cref="LaminaException">It is not one.</exception>
    public static DiskSettings Parse(string text)
    {
        string[] parts = text.Split(',');
        if (parts[0].Length == 0)
        {
            throw new LaminaException($"--disk '{text}' names no file. Write --disk FILE, with settings after commas: {string.Join(", ", Settings)}.");
        }

        DiskSettings disk = new() { Path = parts[0] };
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? part : part[..equals];
            string? value = equals < 0 ? null : part[(equals + 1)..];
            IoLimits limits = disk.Limits;
            if (LimitArgument.TryRead($"--disk '{text}'", "iops", name, value, ref limits))
            {
                disk = disk with { Limits = limits };
                continue;
            }

            disk = (name, value) switch
            {
                ("format", not null) => disk with { Format = ParseFormat("--disk", value) },
                ("readonly", null) => disk with { IsReadOnly = true },
                ("cache", "none") => disk with { IsDirect = true },
                ("grants", "persistent") => disk with { HasPersistentGrants = true },
                ("werror", "report") => disk with { OnNoSpace = WriteErrorPolicy.Report },
                ("werror", "stop") => disk with { OnNoSpace = WriteErrorPolicy.Wait },
                ("serial", { Length: > 0 and <= 20 }) when value.All(char.IsAscii) => disk with { Serial = value },
                ("serial", not null) => throw new LaminaException($"--disk '{text}': a serial number has 1 to 20 characters of ASCII."),
                _ => throw new LaminaException($"--disk '{text}': '{part}' is not known. Accepted: {string.Join(", ", Settings)}.{Suggestion.For(part, Settings)}"),
            };
        }

        return disk;
    }

    /// <summary>Parses the name of a format.</summary>
    /// <exception cref="LaminaException">There is none of that name.</exception>
    public static DiskFormat ParseFormat(string option, string name) => name switch
    {
        "raw" => DiskFormat.Raw,
        "qcow2" => DiskFormat.Qcow2,
        _ => throw new LaminaException($"{option}: the format '{name}' is not known. Accepted: raw, qcow2.{Suggestion.For(name, ["raw", "qcow2"])}"),
    };
}
