using Lamina.Cli.Images;

namespace Lamina.Cli.Tests.Images;

/// <summary>Tells when a run begins to wait for another.</summary>
internal sealed class Notifier(TaskCompletionSource waiting) : IProgressDisplay
{
    public void Begin(string step)
    {
    }

    public void Advance(double percent)
    {
    }

    public void Note(string message)
    {
        Assert.Contains("another lamina prepares image 'debian'", message, StringComparison.Ordinal);
        waiting.TrySetResult();
    }
}
