using System.Diagnostics;

namespace Lamina.Storage.Tests;

/// <summary>When a thread that must not wait may write, after writes that took long.</summary>
public sealed class WritePauseTests
{
    private static readonly long s_millisecond = Stopwatch.Frequency / 1000;

    [Fact]
    public void WritesGoOnAfterShortOnes()
    {
        WritePause pause = new();
        Assert.True(pause.IsOver(0), "There is a pause before anything was written.");
        pause.Note(0, 2 * s_millisecond);
        Assert.True(pause.IsOver(2 * s_millisecond), "There is a pause after a write of 2 ms.");
    }

    [Theory]
    [InlineData(3, 30)]
    [InlineData(20, 200)]
    [InlineData(100, 1000)]
    [InlineData(5000, 1000)]
    public void APauseIsTenTimesAsLongAsTheWriteAndAtMostASecond(int took, int lasts)
    {
        WritePause pause = new();
        long ended = (7 + took) * s_millisecond;
        pause.Note(7 * s_millisecond, ended);
        long until = ended + (lasts * s_millisecond);
        Assert.False(pause.IsOver(until - 1), $"The pause after a write of {took} ms is shorter than {lasts} ms.");
        Assert.True(pause.IsOver(until), $"The pause after a write of {took} ms is longer than {lasts} ms.");
    }

    [Fact]
    public void AShortWriteDoesNotEndAPause()
    {
        WritePause pause = new();
        pause.Note(0, 10 * s_millisecond);
        pause.Note(10 * s_millisecond, 11 * s_millisecond);
        Assert.False(pause.IsOver(109 * s_millisecond), "The pause after a write of 10 ms was ended by another thread's.");
    }
}
