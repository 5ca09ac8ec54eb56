using System.Diagnostics;

namespace Lamina.Storage.Tests;

/// <summary>When a thread that must not wait may write, after writes that took long.</summary>
public sealed class WritePauseTests
{
    private static readonly long s_millisecond = Stopwatch.Frequency / 1000;

    [Fact]
    public void AtFirstWritesMayBeginAndAreNotWatched()
    {
        WritePause pause = new();
        Assert.True(pause.IsOver(0), "There is a pause before anything was written.");
        Assert.False(pause.IsWatching(0), "Writes are watched before one has taken long.");
        Assert.False(WritePause.IsLong(2 * s_millisecond), "2 ms are long.");
        Assert.True(WritePause.IsLong(3 * s_millisecond), "3 ms are not long.");
    }

    [Fact]
    public void AWriteThatTookLongHasThoseOfASecondWatchedAndDoesNotPauseThem()
    {
        WritePause pause = new();
        pause.NoteLong(0, 5 * s_millisecond, waited: false);
        Assert.True(pause.IsOver(5 * s_millisecond), "There is a pause after a write that may only have left its processor to others.");
        Assert.True(pause.IsWatching(1004 * s_millisecond), "Writes are watched for less than a second.");
        Assert.False(pause.IsWatching(1005 * s_millisecond), "Writes are watched for more than a second.");
    }

    [Theory]
    [InlineData(3, 30)]
    [InlineData(20, 200)]
    [InlineData(100, 1000)]
    [InlineData(5000, 1000)]
    public void AWriteThatWaitedPausesForTenTimesAsLongAndAtMostASecond(int took, int lasts)
    {
        WritePause pause = new();
        long ended = (7 + took) * s_millisecond;
        pause.NoteLong(7 * s_millisecond, ended, waited: true);
        long until = ended + (lasts * s_millisecond);
        Assert.False(pause.IsOver(until - 1), $"The pause after a write of {took} ms is shorter than {lasts} ms.");
        Assert.True(pause.IsOver(until), $"The pause after a write of {took} ms is longer than {lasts} ms.");
        Assert.True(pause.IsWatching(until), "The first write after a pause is not watched.");
    }

    [Fact]
    public void AnotherThreadsWriteThatDidNotWaitDoesNotEndAPause()
    {
        WritePause pause = new();
        pause.NoteLong(0, 10 * s_millisecond, waited: true);
        pause.NoteLong(0, 11 * s_millisecond, waited: false);
        Assert.False(pause.IsOver(109 * s_millisecond), "The pause after a write of 10 ms was ended by another's.");
    }
}
