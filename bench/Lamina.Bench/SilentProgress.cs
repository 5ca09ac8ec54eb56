using Lamina.Cli.Images;

namespace Lamina.Bench;

/// <summary>Tells nothing of a download but its notes.</summary>
internal sealed class SilentProgress : IProgressDisplay
{
    /// <inheritdoc/>
    public void Begin(string step)
    {
    }

    /// <inheritdoc/>
    public void Advance(double percent)
    {
    }

    /// <inheritdoc/>
    public void Note(string message) => Console.Error.WriteLine(message);
}
