using Lamina.Cli.Output;

namespace Lamina.Cli.Disks;

/// <summary>Shows on a terminal how far work on a disk is.</summary>
internal static class DiskProgress
{
    private const double Step = 0.01;

    /// <summary>Does the work.</summary>
    /// <param name="title">What it is.</param>
    /// <param name="work">Is given whom to tell, from 0 to 1, or null where nobody looks.</param>
    public static void Show(string title, Action<Action<double>?> work) => Show<bool>(title, p =>
    {
        work(p);
        return true;
    });

    /// <summary>Does the work and gives its result.</summary>
    public static T Show<T>(string title, Func<Action<double>?, T> work)
    {
        if (Console.IsErrorRedirected)
        {
            return work(null);
        }

        using ProgressDisplay display = new();
        double shown = -1;
        return work(done =>
        {
            if (shown < 0)
            {
                display.Begin(title);
            }

            if (done >= shown + Step)
            {
                shown = done;
                display.Advance(done * 100);
            }
        });
    }
}
