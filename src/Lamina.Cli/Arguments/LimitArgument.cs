using System.Globalization;
using Lamina.Machine.Limits;

namespace Lamina.Cli.Arguments;

/// <summary>Limits among the settings of <c>--disk</c> and <c>--net</c>: <c>iops=N</c> (or <c>pps=N</c>), <c>bps=SIZE</c>, <c>burst=MILLISECONDS</c>.</summary>
internal static class LimitArgument
{
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
