namespace Lamina.Chipset.Tests;

/// <summary>Conversions between nanoseconds and ticks.</summary>
public sealed class TickRateTests
{
    [Theory]
    [InlineData(32_768)]
    [InlineData(1_193_182)]
    [InlineData(3_579_545)]
    [InlineData(1_000_000_000)]
    [InlineData(2_893_437_111)]
    [InlineData(5_000_000_000)]
    public void TicksAreExactForYearsAndDeadlinesAreNeverEarly(ulong frequency)
    {
        TickRate rate = new(frequency);
        Random random = new(3);
        for (int i = 0; i < 20_000; i++)
        {
            ulong nanoseconds = (ulong)random.NextInt64(1L << random.Next(1, 58));
            ulong exact = (ulong)((UInt128)nanoseconds * frequency / 1_000_000_000);
            Assert.InRange(rate.ToTicks(nanoseconds), exact, exact + 1);
            ulong deadline = rate.ToNanoseconds(exact);
            Assert.True(rate.ToTicks(deadline) >= exact, $"{frequency} Hz: tick {exact} has not come at {deadline} ns.");
            Assert.True(deadline <= nanoseconds + 3, $"{frequency} Hz: {deadline} ns is late for tick {exact}.");
        }
    }

    [Fact]
    public void HugeValuesSaturate()
    {
        Assert.Equal(ulong.MaxValue, new TickRate(1_193_182).ToNanoseconds(ulong.MaxValue));
        Assert.Equal(ulong.MaxValue, new TickRate(5_000_000_000).ToTicks(ulong.MaxValue));
        Assert.Equal(ulong.MaxValue, TickRate.AddSaturating(ulong.MaxValue - 1, 5));
    }
}
