using System.Diagnostics;

namespace Lamina.Storage;

/// <summary>
/// Says when a thread that must not wait for the host may write into its memory all the same: not for a while after a write for which the host held it back. A write that takes long may also be one whose
/// thread had to leave its processor to others. So after one of them, writes are watched: it is asked whether they wait. Any thread.
/// </summary>
internal sealed class WritePause
{
    private const long Factor = 10;
    private static readonly long s_long = Stopwatch.Frequency * 2 / 1000;
    private static readonly long s_longest = Stopwatch.Frequency;
    private static readonly long s_watch = Stopwatch.Frequency;
    private long _until = long.MinValue;
    private long _watchedUntil = long.MinValue;

    /// <summary>Whether a write may begin.</summary>
    /// <param name="now">Now, by <see cref="Stopwatch.GetTimestamp"/>.</param>
    public bool IsOver(long now) => now >= Volatile.Read(ref _until);

    /// <summary>Whether a write that begins is to be watched.</summary>
    /// <param name="now">Now.</param>
    public bool IsWatching(long now) => now < Volatile.Read(ref _watchedUntil);

    /// <summary>Whether a write that took so long is to be noted.</summary>
    /// <param name="took">Ticks of <see cref="Stopwatch"/>.</param>
    public static bool IsLong(long took) => took > s_long;

    /// <summary>Notes a write that took long.</summary>
    /// <param name="began">When it began.</param>
    /// <param name="ended">When it ended.</param>
    /// <param name="waited">Whether it was watched, and waited.</param>
    public void NoteLong(long began, long ended, bool waited)
    {
        long pause = waited ? Math.Min(Factor * (ended - began), s_longest) : 0;
        Volatile.Write(ref _watchedUntil, ended + pause + s_watch);
        if (waited)
        {
            Volatile.Write(ref _until, ended + pause);
        }
    }
}
