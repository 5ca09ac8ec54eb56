using Lamina.Chipset.Timers;

namespace Lamina.Chipset.Tests.Timers;

/// <summary>The MC146818 and its CMOS.</summary>
public sealed class RtcTests
{
    private readonly ManualClock _clock = new();
    private readonly RecordingLines _lines = new();
    private readonly TestBoard _board = new(1);
    private readonly Rtc _rtc;

    public RtcTests()
    {
        // 2024-02-29 23:59:58 UTC, a Thursday.
        _clock.UnixEpoch = 1_709_251_198_000_000_000;
        _rtc = new Rtc("rtc1", _clock, new CheckedLock(), _lines.Line(8), 3UL << 30, 1UL << 30);
        _rtc.Map(_board.Ports);
        _rtc.Start();
    }

    [Fact]
    public void TimeIsDecimalAnd24HoursAtFirstAndRollsOver()
    {
        Assert.Equal([0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20], Time());
        _clock.Advance(2_000_000_000);
        Assert.Equal([0x00, 0x00, 0x00, 0x06, 0x01, 0x03, 0x24, 0x20], Time());
    }

    [Fact]
    public void BinaryAnd12HoursAreShownWhenAsked()
    {
        Write(0x0b, 0x04);
        Assert.Equal([58, 59, 0x80 | 11, 5, 29, 2, 24, 20], Time());
        Write(0x0b, 0x00);
        Assert.Equal(0x91, Read(4));
        _clock.Advance(2_000_000_000);
        Assert.Equal(0x12, Read(4)); // Midnight is 12 AM.
    }

    [Fact]
    public void SettingTheTimeKeepsItAsAnOffset()
    {
        Write(0x0b, 0x82);
        byte[] written = [0x30, 0x15, 0x08, 0x03, 0x31, 0x12, 0x99, 0x19];
        SetTime(written);
        _clock.Advance(5_000_000_000);
        Assert.Equal(written, Time()); // Held while SET is 1.
        Write(0x0b, 0x02);
        Assert.Equal(written, Time());
        _clock.Advance(10_000_000_000);
        Assert.Equal([0x40, 0x15, 0x08, 0x03, 0x31, 0x12, 0x99, 0x19], Time());
    }

    [Fact]
    public void TheFirstUpdateAfterADividerResetIsHalfASecondAway()
    {
        Write(0x0b, 0x82);
        Write(0x0a, 0x76);
        Write(0x00, 0x10);
        Write(0x0b, 0x02);
        Write(0x0a, 0x26);
        _clock.Advance(499_000_000);
        Assert.Equal(0x10, Read(0));
        _clock.Advance(2_000_000);
        Assert.Equal(0x11, Read(0));
    }

    [Fact]
    public void UpdateInProgressWarnsBeforeEachSecond()
    {
        Assert.Equal(0x26, Read(0x0a));
        _clock.Advance(999_800_000);
        Assert.Equal(0xa6, Read(0x0a));
        Write(0x0b, 0x82);
        Assert.Equal(0x26, Read(0x0a));
        Write(0x0b, 0x02);
        _clock.Advance(200_000);
        Assert.Equal(0x26, Read(0x0a));
    }

    [Fact]
    public void TheUpdateInterruptComesEachSecondOnceCIsRead()
    {
        Write(0x0b, 0x12);
        _clock.Advance(1_500_000_000);
        Assert.Equal(1, _lines.Edges(8));
        Assert.Equal(0x90, Read(0x0c) & 0xb0); // The periodic flag is set whether it interrupts or not.
        Assert.False(_lines[8]);
        Assert.Equal(0x00, Read(0x0c) & 0xb0);
        _clock.Advance(1_000_000_000);
        Assert.Equal(2, _lines.Edges(8));
        _clock.Advance(10_000_000_000);
        Assert.Equal(2, _lines.Edges(8)); // Nobody read C.
    }

    [Fact]
    public void ThePeriodicInterruptKeepsItsRate()
    {
        Write(0x0a, 0x26); // 1024 Hz.
        Write(0x0b, 0x42);
        int ticks = 0;
        for (int i = 0; i < 10_000; i++)
        {
            _clock.Advance(100_000);
            if (_lines[8])
            {
                ticks++;
                Assert.Equal(0xc0, Read(0x0c) & 0xe0);
            }
        }

        Assert.InRange(ticks, 1022, 1025);
    }

    [Fact]
    public void TheAlarmMatchesAndAnyValueMatchesAll()
    {
        Write(0x01, 0x05);
        Write(0x03, 0x00);
        Write(0x05, 0xff);
        Write(0x0b, 0x22);
        _clock.Advance(6_900_000_000);
        Assert.Equal(0, _lines.Edges(8));
        _clock.Advance(200_000_000);
        Assert.Equal(1, _lines.Edges(8));
        Assert.Equal(0xa0, Read(0x0c) & 0xa0);
        _clock.Advance(3_600_000_000_000);
        Assert.Equal(2, _lines.Edges(8)); // Next hour, same minute and second.
        Read(0x0c);
        Write(0x05, 0x77); // No hour.
        _clock.Advance(200_000_000_000_000);
        Assert.Equal(2, _lines.Edges(8));
    }

    [Fact]
    public void SetClearsTheUpdateEnable()
    {
        Write(0x0b, 0x12);
        Write(0x0b, 0x92);
        Assert.Equal(0x82, Read(0x0b));
    }

    [Fact]
    public void MemorySizesAndBatteryAreThere()
    {
        Assert.Equal(0x80, Read(0x0d));
        Assert.Equal(640, Read(0x15) | (Read(0x16) << 8));
        Assert.Equal(0xfc00, Read(0x17) | (Read(0x18) << 8));
        Assert.Equal(((3 << 30) - (16 << 20)) >>> 16, Read(0x34) | (Read(0x35) << 8));
        Assert.Equal(1 << 14, Read(0x5b) | (Read(0x5c) << 8) | (Read(0x5d) << 16));
        Write(0x40, 0x99);
        _rtc.Reset();
        Assert.Equal(0x99, Read(0x40));
    }

    [Fact]
    public void EveryDayFor400YearsRoundTrips()
    {
        DateTime start = new(1970, 1, 1, 12, 34, 56, DateTimeKind.Utc);
        for (int day = 0; day < 146_097; day++)
        {
            DateTime expected = start.AddDays(day);
            long seconds = (long)(expected - DateTime.UnixEpoch).TotalSeconds;
            CalendarTime time = CalendarTime.FromUnixSeconds(seconds);
            Assert.Equal((expected.Year, expected.Month, expected.Day, 12, 34, 56), (time.Year, time.Month, time.Day, time.Hour, time.Minute, time.Second));
            Assert.Equal(seconds, time.ToUnixSeconds());
            Assert.Equal((int)expected.DayOfWeek, CalendarTime.DayOfWeek(seconds));
        }
    }

    private byte Read(uint index)
    {
        _board.Out(0x70, index);
        return _board.In(0x71);
    }

    private void Write(uint index, uint value)
    {
        _board.Out(0x70, index);
        _board.Out(0x71, value);
    }

    private byte[] Time() => [Read(0), Read(2), Read(4), Read(6), Read(7), Read(8), Read(9), Read(0x32)];

    private void SetTime(byte[] fields)
    {
        uint[] indices = [0, 2, 4, 6, 7, 8, 9, 0x32];
        for (int i = 0; i < indices.Length; i++)
        {
            Write(indices[i], fields[i]);
        }
    }
}
