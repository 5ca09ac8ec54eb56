namespace Lamina.Bench;

/// <summary>One measured figure.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Subject">Which accelerator or peer.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Median">Median of the runs.</param>
/// <param name="Minimum">Least.</param>
/// <param name="Maximum">Most.</param>
internal sealed record Figure(string Name, string Subject, string Unit, double Median, double Minimum, double Maximum)
{
    /// <summary>Of several runs.</summary>
    public static Figure Of(string name, string subject, string unit, IEnumerable<double> runs)
    {
        double[] sorted = [.. runs.Order()];
        return new Figure(name, subject, unit, sorted[sorted.Length / 2], sorted[0], sorted[^1]);
    }
}
