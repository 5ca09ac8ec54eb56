namespace Lamina.Chipset;

/// <summary>Converts between nanoseconds and the ticks of a counter by multiplication with a fixed-point reciprocal: no division on a guest's path.</summary>
internal readonly struct TickRate
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private readonly ulong _ticksFactor;
    private readonly int _ticksShift;
    private readonly ulong _nanosecondsFactor;
    private readonly int _nanosecondsShift;

    /// <summary>Prepares for a counter of <paramref name="frequency"/> Hz, which is not 0.</summary>
    public TickRate(ulong frequency)
    {
        (_ticksFactor, _ticksShift) = Ratio(frequency, NanosecondsPerSecond);
        (_nanosecondsFactor, _nanosecondsShift) = Ratio(NanosecondsPerSecond, frequency);
    }

    /// <summary>Whole ticks in so many nanoseconds; saturates.</summary>
    public ulong ToTicks(ulong nanoseconds) => Scale(nanoseconds, _ticksFactor, _ticksShift);

    /// <summary>The fewest nanoseconds (give or take two) after which so many ticks have gone by; saturates.</summary>
    public ulong ToNanoseconds(ulong ticks)
    {
        ulong nanoseconds = Scale(ticks, _nanosecondsFactor, _nanosecondsShift);
        for (int i = 0; i < 3 && nanoseconds != ulong.MaxValue && ToTicks(nanoseconds) < ticks; i++)
        {
            nanoseconds++;
        }

        return nanoseconds;
    }

    /// <summary>The sum, or the greatest value if it overflows.</summary>
    public static ulong AddSaturating(ulong a, ulong b) => a + b < a ? ulong.MaxValue : a + b;

    private static ulong Scale(ulong value, ulong factor, int shift)
    {
        UInt128 result = ((UInt128)value * factor) >> shift;
        return result > ulong.MaxValue ? ulong.MaxValue : (ulong)result;
    }

    // numerator / denominator as factor / 2^shift with a factor of 63 bits, rounded up so that exact ratios stay exact.
    private static (ulong Factor, int Shift) Ratio(ulong numerator, ulong denominator)
    {
        int shift = 0;
        UInt128 scaled = numerator;
        while (shift < 96 && scaled / denominator < 1UL << 62)
        {
            scaled <<= 1;
            shift++;
            if ((scaled >> 126) != 0)
            {
                break;
            }
        }

        return ((ulong)((scaled + denominator - 1) / denominator), shift);
    }
}
