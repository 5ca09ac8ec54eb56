using System.Diagnostics;

namespace Lamina.Storage;

/// <summary>
/// Says when a thread that must not wait for the host may write into its memory all the same. A write that takes long shows that the host holds writers back, or that the thread had to leave its
/// processor to another; it cannot be told which. So as many times as long as it took nobody writes so, and a writer loses at most a small part of its time. Any thread.
/// </summary>
internal sealed class WritePause
{
    private const long Factor = 10;
    private static readonly long s_long = Stopwatch.Frequency * 2 / 1000;
    private static readonly long s_longest = Stopwatch.Frequency;
    private long _until = long.MinValue;

    /// <summary>Whether a write may begin.</summary>
    /// <param name="now">Now, by <see cref="Stopwatch.GetTimestamp"/>.</param>
    public bool IsOver(long now) => now >= Volatile.Read(ref _until);

    /// <summary>Notes a write.</summary>
    /// <param name="began">When it began, by <see cref="Stopwatch.GetTimestamp"/>.</param>
    /// <param name="ended">When it ended.</param>
    public void Note(long began, long ended)
    {
        if (ended - began > s_long)
        {
            Volatile.Write(ref _until, ended + Math.Min(Factor * (ended - began), s_longest));
        }
    }
}
