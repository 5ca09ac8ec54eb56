using System.Globalization;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>Sizes as people write them: "512M", "1G", "1.5GiB". Units are powers of 1024.</summary>
internal static class MemorySize
{
    private const ulong Mebibyte = 1UL << 20;
    private static readonly string[] Units = ["", "K", "M", "G", "T"];

    /// <summary>Parses the size of a machine's RAM.</summary>
    /// <param name="text">The size.</param>
    /// <param name="hostMemory">What the host has; 0 if that is not known.</param>
    /// <param name="option">The option that has it.</param>
    /// <exception cref="LaminaException">It is no size, or no machine can have it here.</exception>
    public static ulong ParseMachineMemory(string text, ulong hostMemory, string option = "--memory")
    {
        if (!TryParse(text, out ulong bytes, out bool hasUnit))
        {
            throw new LaminaException($"{option} '{text}' is not a size. Write a number and a unit, such as 512M, 1G or 2GiB.");
        }

        if (!hasUnit)
        {
            throw new LaminaException($"{option} '{text}' has no unit. Did you mean '{text}M'? Units are K, M, G and T.");
        }

        if (bytes < MachineSettings.MinimumMemorySize || bytes > MachineSettings.MaximumMemorySize)
        {
            throw new LaminaException(
                $"{option} '{text}' is out of range: a machine has {Format(MachineSettings.MinimumMemorySize)} to {Format(MachineSettings.MaximumMemorySize)}.");
        }

        if (bytes % Mebibyte != 0)
        {
            throw new LaminaException($"{option} '{text}' is not a whole number of MiB. Did you mean '{Math.Max(1, (bytes + (Mebibyte / 2)) / Mebibyte)}M'?");
        }

        if (hostMemory != 0 && bytes > hostMemory)
        {
            throw new LaminaException($"{option} '{text}' is more than this host has ({Format(hostMemory)}).");
        }

        return bytes;
    }

    /// <summary>Parses a size.</summary>
    /// <param name="text">The size.</param>
    /// <param name="bytes">The size in bytes.</param>
    /// <param name="hasUnit">Whether a unit was given; without one the number counts bytes.</param>
    public static bool TryParse(string text, out ulong bytes, out bool hasUnit)
    {
        bytes = 0;
        string trimmed = text.Trim();
        int end = 0;
        while (end < trimmed.Length && (char.IsAsciiDigit(trimmed[end]) || trimmed[end] == '.'))
        {
            end++;
        }

        string unit = trimmed[end..].TrimStart().ToUpperInvariant();
        hasUnit = unit.Length > 0;
        unit = unit.EndsWith("IB", StringComparison.Ordinal) && unit.Length > 2 ? unit[..^2] : unit.EndsWith('B') ? unit[..^1] : unit;
        int power = Array.IndexOf(Units, unit);
        if (power < 0 || end > 20 || !decimal.TryParse(trimmed[..end], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
        {
            return false;
        }

        if (number >= (decimal)ulong.MaxValue / (1UL << (10 * power)))
        {
            bytes = ulong.MaxValue;
            return true;
        }

        bytes = (ulong)(number * (1UL << (10 * power)));
        return true;
    }

    /// <summary>A size for people: the largest unit in which it is not below 1, with at most one decimal.</summary>
    public static string Format(ulong bytes)
    {
        int power = 0;
        while (power < Units.Length - 1 && bytes >> (10 * (power + 1)) != 0)
        {
            power++;
        }

        decimal value = bytes / (decimal)(1UL << (10 * power));
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {(power == 0 ? "bytes" : Units[power] + "iB")}");
    }
}
