namespace Lamina.Chipset.Timers;

/// <summary>Calendar fields, as the RTC counts them: proleptic Gregorian, UTC.</summary>
/// <param name="Year">0 to 9999.</param>
/// <param name="Month">1 to 12.</param>
/// <param name="Day">1 to 31.</param>
/// <param name="Hour">0 to 23.</param>
/// <param name="Minute">0 to 59.</param>
/// <param name="Second">0 to 59.</param>
internal readonly record struct CalendarTime(int Year, int Month, int Day, int Hour, int Minute, int Second)
{
    private const long SecondsPerDay = 86_400;
    private const int DaysPerEra = 146_097; // 400 years

    // Days from 0000-03-01 to 1970-01-01.
    private const int EpochDays = 719_468;

    /// <summary>Day of the week, 0 (Sunday) to 6, of a number of seconds since 1970-01-01T00:00:00Z.</summary>
    public static int DayOfWeek(long unixSeconds) => (int)(((FloorDivide(unixSeconds, SecondsPerDay) % 7) + 11) % 7);

    /// <summary>The fields of a number of seconds since 1970-01-01T00:00:00Z.</summary>
    public static CalendarTime FromUnixSeconds(long unixSeconds)
    {
        long days = FloorDivide(unixSeconds, SecondsPerDay);
        int second = (int)(unixSeconds - (days * SecondsPerDay));

        // Years begin in March here, so that the leap day is the last of its year.
        long shifted = days + EpochDays;
        long era = FloorDivide(shifted, DaysPerEra);
        int dayOfEra = (int)(shifted - (era * DaysPerEra));
        int yearOfEra = (dayOfEra - (dayOfEra / 1460) + (dayOfEra / 36_524) - (dayOfEra / 146_096)) / 365;
        int dayOfYear = dayOfEra - ((365 * yearOfEra) + (yearOfEra / 4) - (yearOfEra / 100));
        int monthFromMarch = ((5 * dayOfYear) + 2) / 153;
        int day = dayOfYear - (((153 * monthFromMarch) + 2) / 5) + 1;
        int month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
        int year = (int)((era * 400) + yearOfEra) + (month <= 2 ? 1 : 0);
        return new CalendarTime(year, month, day, second / 3600, second / 60 % 60, second % 60);
    }

    /// <summary>Seconds since 1970-01-01T00:00:00Z. A day past the end of its month runs into the next.</summary>
    public long ToUnixSeconds()
    {
        long year = Month <= 2 ? Year - 1 : Year;
        long era = FloorDivide(year, 400);
        int yearOfEra = (int)(year - (era * 400));
        int dayOfYear = (((153 * (Month > 2 ? Month - 3 : Month + 9)) + 2) / 5) + Day - 1;
        int dayOfEra = (yearOfEra * 365) + (yearOfEra / 4) - (yearOfEra / 100) + dayOfYear;
        long days = (era * DaysPerEra) + dayOfEra - EpochDays;
        return (days * SecondsPerDay) + (Hour * 3600) + (Minute * 60) + Second;
    }

    /// <summary>The fields in one number, for saved state.</summary>
    public ulong Pack()
    {
        return ((ulong)(uint)Year << 40) | ((ulong)(byte)Month << 32) | ((uint)(byte)Day << 24) | ((uint)(byte)Hour << 16) | ((uint)(byte)Minute << 8) | (byte)Second;
    }

    /// <summary>Takes them back.</summary>
    /// <returns><c>false</c>, with a valid time, if a field is out of its range.</returns>
    public static bool TryUnpack(ulong packed, out CalendarTime time)
    {
        ulong year = packed >> 40;
        time = new CalendarTime(
            (int)Math.Min(year, 9999),
            (int)(packed >> 32) & 0xff,
            (int)(packed >> 24) & 0xff,
            (int)(packed >> 16) & 0xff,
            (int)(packed >> 8) & 0xff,
            (int)packed & 0xff);
        bool valid = year <= 9999 && time is { Month: >= 1 and <= 12, Day: >= 1 and <= 31, Hour: <= 23, Minute: <= 59, Second: <= 59 };
        time = valid ? time : new CalendarTime(1970, 1, 1, 0, 0, 0);
        return valid;
    }

    private static long FloorDivide(long value, long divisor) => (value / divisor) - (value % divisor < 0 ? 1 : 0);
}
