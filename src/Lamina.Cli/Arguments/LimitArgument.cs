using System.Globalization;
using Lamina.Machine.Limits;

namespace Lamina.Cli.Arguments;

/// <summary>Limits among the settings of <c>--disk</c> and <c>--net</c>: <c>iops=N</c> (or <c>pps=N</c>), <c>bps=SIZE</c>, <c>burst=MILLISECONDS</c>.</summary>
internal static class LimitArgument
{
    /// <summary>What operations of a device are called: iops of a disk, pps of a network card.</summary>
    public static string GetOperations(string device) => device.StartsWith("net", StringComparison.Ordinal) ? "pps" : "iops";

    /// <summary>Reads all limits of a device: settings with commas between them, or <c>none</c>.</summary>
    /// <exception cref="LaminaException">They are not acceptable.</exception>
    public static IoLimits Parse(string device, string text)
    {
        IoLimits limits = IoLimits.None;
        if (text == "none")
        {
            return limits;
        }

        string operations = GetOperations(device);
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (!TryRead($"'{text}'", operations, equals < 0 ? part : part[..equals], equals < 0 ? null : part[(equals + 1)..], ref limits))
            {
                string[] settings = [$"{operations}=N", "bps=SIZE", "burst=MILLISECONDS"];
                throw new LaminaException($"'{part}' is no limit of {device}. Accepted: {string.Join(", ", settings)}, or none.{Suggestion.For(part, settings)}");
            }
        }

        return limits is { OperationsPerSecond: 0, BytesPerSecond: 0 }
            ? throw new LaminaException($"'{text}' limits nothing: give {operations}=N or bps=SIZE, or none.")
            : limits;
    }

    /// <summary>Reads one setting.</summary>
    /// <param name="option">The option and its value, for messages.</param>
    /// <param name="operations">What operations are called: iops or pps.</param>
    /// <param name="name">The setting's name.</param>
    /// <param name="value">Its value.</param>
    /// <param name="limits">The limits, with this one added.</param>
    /// <returns><c>false</c> if it is none of these.</returns>
    /// <exception cref="LaminaException">Its value is not acceptable.</exception>
    public static bool TryRead(string option, string operations, string name, string? value, ref IoLimits limits)
    {
        if (value == null || (name != operations && name is not ("bps" or "burst")))
        {
            return false;
        }

        if (name == "bps")
        {
            limits = MemorySize.TryParse(value, out ulong bytes, out _) && bytes > 0
                ? limits with { BytesPerSecond = bytes }
                : throw new LaminaException($"{option}: 'bps={value}' is not a number of bytes a second, such as 500K or 50M.");
            return true;
        }

        if (!uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) || number == 0)
        {
            throw new LaminaException($"{option}: '{name}={value}' is not {(name == "burst" ? "a number of milliseconds" : "a number a second")}, 1 or more.");
        }

        limits = name == "burst" ? limits with { BurstMilliseconds = number } : limits with { OperationsPerSecond = number };
        return true;
    }
}
