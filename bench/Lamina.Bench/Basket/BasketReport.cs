using System.Globalization;
using System.Text.Json;

namespace Lamina.Bench.Basket;

/// <summary>Prints the table, and writes it as JSON.</summary>
internal static class BasketReport
{
    private const string Counter = "tsc";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Prints everything. Gives the exit status: 1 if something is wrong.</summary>
    public static int Write(BasketOptions options, Subject native, Subject? tcg, Subject lamina)
    {
        double gigahertz = native.Median(Counter) is { } counter ? (double)counter.Units / counter.Nanoseconds : double.NaN;
        BasketRow[] rows = [.. native.Names.Concat(lamina.Names).Distinct().Where(n => n != Counter && !IsParallel(n)).Select(n => BasketRow.Of(n, native, tcg, lamina))];
        BasketRow[] good = [.. rows.Where(r => r.Error == null)];
        Console.WriteLine(Line("member", "unit", "native ns", "TCG ns", "Lamina ns", "Lam/nat", "TCG/Lam", "nat cyc", "TCG cyc", "Lam cyc", ""));
        foreach (BasketRow row in rows)
        {
            Console.WriteLine(Line(
                row.Name, row.Unit, PerUnit(row.Native, row, 1), PerUnit(row.Tcg, row, 1), PerUnit(row.Lamina, row, 1), Number(row.Slowdown), Number(row.Speedup),
                PerUnit(row.Native, row, gigahertz), PerUnit(row.Tcg, row, gigahertz), PerUnit(row.Lamina, row, gigahertz), row.Error ?? (row.Speedup < 1 ? "slower than TCG" : "")));
        }

        double? slowdown = BasketRow.GeometricMean(good.Select(r => r.Slowdown)), speedup = BasketRow.GeometricMean(good.Select(r => r.Speedup));
        double? peerSlowdown = BasketRow.GeometricMean(good.Select(r => r.Tcg / r.Native));
        Console.WriteLine($"Geometric means of {good.Length} members: Lamina/native {Number(slowdown)}, TCG/native {Number(peerSlowdown)}, TCG/Lamina {Number(speedup)}.");
        double? nativeRatio = Throughput(native), peerRatio = tcg == null ? null : Throughput(tcg), ratio = Throughput(lamina);
        if (ratio != null)
        {
            Console.WriteLine($"Throughput of two processes on two processors against one: native {Number(nativeRatio)}, TCG {Number(peerRatio)}, Lamina {Number(ratio)}.");
        }

        string[] errors = [.. Named("native", native), .. tcg == null ? [] : Named("QEMU", tcg), .. Named("Lamina", lamina), .. rows.Where(r => r.Error != null).Select(r => $"{r.Name}: {r.Error}")];
        foreach (string error in errors)
        {
            Console.WriteLine($"ERROR: {error}");
        }

        if (options.Json != null)
        {
            var document = new
            {
                options.Accelerator,
                options.Runs,
                CounterGigahertz = double.IsNaN(gigahertz) ? (double?)null : gigahertz,
                Members = rows,
                LaminaPerNative = slowdown,
                TcgPerNative = peerSlowdown,
                TcgPerLamina = speedup,
                ParallelThroughput = new { Native = nativeRatio, Tcg = peerRatio, Lamina = ratio },
                Errors = errors,
            };
            File.WriteAllText(options.Json, JsonSerializer.Serialize(document, Indented));
        }

        return errors.Length == 0 ? 0 : 1;
    }

    private static bool IsParallel(string name) => name.StartsWith(BasketBench.Parallel + "-", StringComparison.Ordinal);

    // The median of the ratios, each of one run.
    private static double? Throughput(Subject subject)
    {
        double[] ratios =
        [
            .. subject.All(BasketBench.Parallel + "-1").Zip(subject.All(BasketBench.Parallel + "-2"))
                .Select(p => (double)p.Second.Units / p.Second.Nanoseconds / ((double)p.First.Units / p.First.Nanoseconds)).Order(),
        ];
        return ratios.Length == 0 ? null : ratios[ratios.Length / 2];
    }

    private static IEnumerable<string> Named(string subject, Subject from) => from.Errors.Select(e => $"{subject}: {e}");

    private static string PerUnit(double? nanoseconds, BasketRow row, double scale) => Number(nanoseconds * scale / row.Units);

    private static string Number(double? value)
    {
        return value is not { } number || double.IsNaN(number) ? "-" : number.ToString(number >= 1000 ? "F0" : number >= 10 ? "F1" : "F2", CultureInfo.InvariantCulture);
    }

    private static string Line(params string[] c)
    {
        return $"{c[0],-14} {c[1],-10} {c[2],10} {c[3],10} {c[4],10} {c[5],8} {c[6],8} {c[7],9} {c[8],9} {c[9],9}  {c[10]}".TrimEnd();
    }
}
