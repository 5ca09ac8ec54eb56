namespace Lamina.Bench.Basket;

/// <summary>A member of the basket on everything it was run on. Times are medians, in nanoseconds for all its units; null where it was not run.</summary>
/// <param name="Name">The member.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Units">How many of them.</param>
/// <param name="Native">Time on the host.</param>
/// <param name="Tcg">Time under QEMU's TCG.</param>
/// <param name="Lamina">Time under Lamina.</param>
/// <param name="Error">Why the row does not count, or null.</param>
internal sealed record BasketRow(string Name, string Unit, long Units, double? Native, double? Tcg, double? Lamina, string? Error)
{
    /// <summary>How many times slower than the host Lamina is.</summary>
    public double? Slowdown => Lamina / Native;

    /// <summary>How many times faster than QEMU Lamina is.</summary>
    public double? Speedup => Tcg / Lamina;

    /// <summary>Makes a row.</summary>
    public static BasketRow Of(string name, Subject native, Subject? tcg, Subject lamina)
    {
        Measurement any = (native.Median(name) ?? lamina.Median(name) ?? tcg?.Median(name))!;
        string[] sums = [.. native.All(name).Concat(lamina.All(name)).Concat(tcg?.All(name) ?? []).Select(m => m.Checksum).Distinct()];
        string? missing = native.Median(name) == null ? "native" : lamina.Median(name) == null ? "Lamina" : tcg != null && tcg.Median(name) == null ? "QEMU" : null;
        string? error = sums.Length > 1 ? $"checksums differ: {string.Join(", ", sums)}" : missing != null ? $"no result: {missing}" : null;
        return new BasketRow(name, any.Unit, any.Units, native.Median(name)?.Nanoseconds, tcg?.Median(name)?.Nanoseconds, lamina.Median(name)?.Nanoseconds, error);
    }

    /// <summary>The geometric mean, or null of nothing.</summary>
    public static double? GeometricMean(IEnumerable<double?> values)
    {
        double[] logarithms = [.. values.Where(v => v != null).Select(v => Math.Log(v!.Value))];
        return logarithms.Length == 0 ? null : Math.Exp(logarithms.Average());
    }
}
