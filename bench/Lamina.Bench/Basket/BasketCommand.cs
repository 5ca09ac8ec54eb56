using System.Globalization;
using Lamina.Cli;

namespace Lamina.Bench.Basket;

/// <summary>The command <c>basket</c>.</summary>
internal static class BasketCommand
{
    /// <summary>Its command line.</summary>
    public const string Usage = "Lamina.Bench basket [--runs N] [--json FILE] [--only NAME,...] [--no-tcg] [--accel translator|interpreter] [--program LAMINA]";

    /// <summary>Runs it.</summary>
    public static int Run(ReadOnlySpan<string> arguments)
    {
        BasketOptions options = new();
        for (int n = 0; n < arguments.Length; n++)
        {
            string value = n + 1 < arguments.Length ? arguments[n + 1] : "";
            switch (arguments[n])
            {
                case "--no-tcg":
                    options = options with { Peer = false };
                    continue;
                case "--runs" when int.TryParse(value, CultureInfo.InvariantCulture, out int runs) && runs is > 0 and < 1000:
                    options = options with { Runs = runs };
                    break;
                case "--json" when value.Length > 0:
                    options = options with { Json = value };
                    break;
                case "--only" when value.Length > 0:
                    options = options with { Only = value.Split(',', StringSplitOptions.RemoveEmptyEntries) };
                    break;
                case "--accel" when value.Length > 0:
                    options = options with { Accelerator = value };
                    break;
                case "--program" when value.Length > 0:
                    options = options with { Program = Path.GetFullPath(value) };
                    break;
                default:
                    Console.Error.WriteLine($"usage: {Usage}");
                    return 2;
            }

            n++;
        }

        try
        {
            return BasketBench.Run(options);
        }
        catch (LaminaException problem)
        {
            Console.Error.WriteLine($"basket: {problem.Message}");
            return 1;
        }
    }
}
