using Lamina.Cli.Images;

namespace Lamina.Cli.Tests.Images;

/// <summary>Remembers what was shown.</summary>
internal sealed class RecordedProgress : IProgressDisplay
{
    public List<string> Shown { get; } = [];

    public double Percent { get; private set; }

    public void Begin(string step) => Shown.Add(step);

    public void Advance(double percent) => Percent = Math.Max(Percent, percent);

    public void Note(string message) => Shown.Add($"note: {message}");
}
