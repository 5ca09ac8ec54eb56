namespace Lamina.Chipset.Timers;

/// <content>Registers, time fields and alarm.</content>
public sealed partial class Rtc
{
    private const long MaximumSeconds = 253_402_300_799; // The end of the year 9999.
    private const ulong UpdateWarning = 244_000; // ns: UIP is set this long before the fields change.
    private const ulong TickRateHz = 32_768;
    private const byte AnyValue = 0xc0;

    /// <summary>Period of the periodic interrupt in ticks of 32.768 kHz; 0 if off.</summary>
    private uint PeriodTicks
    {
        get
        {
            int rate = A & 0x0f;
            return rate == 0 ? 0 : 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
        }
    }

    private static ulong TicksOf(ulong time) => (time / Second * TickRateHz) + (time % Second * TickRateHz / Second);

    // Rounded up, so that the tick has come at that time.
    private static ulong TimeOf(ulong ticks) => (ticks / TickRateHz * Second) + (((ticks % TickRateHz * Second) + TickRateHz - 1) / TickRateHz);

    private byte ReadCmos(int index)
    {
        switch ((RtcRegister)index)
        {
            case RtcRegister.Seconds:
            case RtcRegister.Minutes:
            case RtcRegister.Hours:
            case >= RtcRegister.DayOfWeek and <= RtcRegister.Year:
            case RtcRegister.Century:
                return ReadField((RtcRegister)index);
            case RtcRegister.A:
                bool updating = !Frozen && Second - (Time % Second) <= UpdateWarning;
                return (byte)(A | (updating ? UpdateInProgress : 0));
            case RtcRegister.C:
                Advance();
                byte value = (byte)(_flags | ((_flags & B & InterruptBits) != 0 ? 0x80 : 0));
                _flags = 0;
                UpdateInterrupt();
                Schedule();
                return value;
            case RtcRegister.D:
                return 0x80; // The battery is good.
            default:
                return _cmos[index];
        }
    }

    private void WriteCmos(int index, byte value)
    {
        Advance();
        switch ((RtcRegister)index)
        {
            case RtcRegister.Seconds:
            case RtcRegister.Minutes:
            case RtcRegister.Hours:
            case >= RtcRegister.DayOfWeek and <= RtcRegister.Year:
            case RtcRegister.Century:
                WriteField((RtcRegister)index, value);
                break;
            case RtcRegister.A:
                WriteA((byte)(value & ~UpdateInProgress));
                break;
            case RtcRegister.B:
                // SET clears the update interrupt's enable.
                WriteB((value & Set) != 0 ? (byte)(value & ~UpdateBit) : value);
                UpdateInterrupt();
                break;
            case RtcRegister.C:
            case RtcRegister.D:
                return;
            default:
                _cmos[index] = value;
                break;
        }

        Schedule();
    }

    private void WriteA(byte value)
    {
        bool held = DividerHeld;
        ChangeFreezing((int)RtcRegister.A, value);
        if (held && !DividerHeld)
        {
            // The first update comes half a second after the divider is released. The phase counts even while SET holds the fields.
            SetTime((long)(Time / Second), Second / 2);
        }
    }

    private void WriteB(byte value) => ChangeFreezing((int)RtcRegister.B, value);

    private void ChangeFreezing(int register, byte value)
    {
        bool was = Frozen;
        if (!was)
        {
            long seconds = Math.Min((long)(Time / Second), MaximumSeconds);
            _frozen = CalendarTime.FromUnixSeconds(seconds);
            _frozenDayOfWeek = ShownDayOfWeek(seconds);
        }

        _cmos[register] = value;
        if (was && !Frozen)
        {
            long seconds = Math.Clamp(_frozen.ToUnixSeconds(), 0, MaximumSeconds);
            SetTime(seconds, Time % Second);
            SetDayOfWeek(seconds, _frozenDayOfWeek);
        }
    }

    private void SetTime(long seconds, ulong fraction)
    {
        _offset = (long)(((ulong)seconds * Second) + fraction - _clock.UnixTime);
        _seen = Time;
    }

    private int ShownDayOfWeek(long seconds) => (CalendarTime.DayOfWeek(seconds) + _dayOfWeekOffset) % 7;

    // The day of the week is a counter of its own: setting the date leaves it.
    private void SetDayOfWeek(long seconds, int day) => _dayOfWeekOffset = (day - CalendarTime.DayOfWeek(seconds) + 7) % 7;

    private byte ReadField(RtcRegister register)
    {
        long seconds = Math.Min((long)(Time / Second), MaximumSeconds);
        bool frozen = Frozen;
        CalendarTime time = frozen ? _frozen : CalendarTime.FromUnixSeconds(seconds);
        return register switch
        {
            RtcRegister.Seconds => Encode(time.Second),
            RtcRegister.Minutes => Encode(time.Minute),
            RtcRegister.Hours => EncodeHour(time.Hour),
            RtcRegister.DayOfWeek => Encode((frozen ? _frozenDayOfWeek : ShownDayOfWeek(seconds)) + 1),
            RtcRegister.DayOfMonth => Encode(time.Day),
            RtcRegister.Month => Encode(time.Month),
            RtcRegister.Year => Encode(time.Year % 100),
            _ => Encode(time.Year / 100),
        };
    }

    // A value that no clock shows becomes the nearest that one does. While the time is frozen, the fields are only kept: together they may be no date yet.
    private void WriteField(RtcRegister register, byte value)
    {
        long seconds = Math.Min((long)(Time / Second), MaximumSeconds);
        bool frozen = Frozen;
        if (register == RtcRegister.DayOfWeek)
        {
            int day = Math.Clamp(Decode(value), 1, 7) - 1;
            _frozenDayOfWeek = day;
            if (!frozen)
            {
                SetDayOfWeek(seconds, day);
            }

            return;
        }

        CalendarTime time = frozen ? _frozen : CalendarTime.FromUnixSeconds(seconds);
        time = register switch
        {
            RtcRegister.Seconds => time with { Second = Math.Clamp(Decode(value), 0, 59) },
            RtcRegister.Minutes => time with { Minute = Math.Clamp(Decode(value), 0, 59) },
            RtcRegister.Hours => time with { Hour = DecodeHour(value) },
            RtcRegister.DayOfMonth => time with { Day = Math.Clamp(Decode(value), 1, 31) },
            RtcRegister.Month => time with { Month = Math.Clamp(Decode(value), 1, 12) },
            RtcRegister.Year => time with { Year = (time.Year / 100 * 100) + Math.Clamp(Decode(value), 0, 99) },
            _ => time with { Year = (Math.Clamp(Decode(value), 0, 99) * 100) + (time.Year % 100) },
        };
        if (frozen)
        {
            _frozen = time;
            return;
        }

        int shownDay = ShownDayOfWeek(seconds);
        long written = Math.Clamp(time.ToUnixSeconds(), 0, MaximumSeconds);
        SetTime(written, Time % Second);
        SetDayOfWeek(written, shownDay);
    }

    private byte Encode(int value) => (byte)((B & Binary) != 0 ? value : ((value / 10) << 4) | (value % 10));

    private int Decode(byte value) => (B & Binary) != 0 ? value : ((value >> 4) * 10) + (value & 0xf);

    private byte EncodeHour(int hour)
    {
        if ((B & Hours24) != 0)
        {
            return Encode(hour);
        }

        int shown = hour % 12 == 0 ? 12 : hour % 12;
        return (byte)(Encode(shown) | (hour >= 12 ? 0x80 : 0));
    }

    private int DecodeHour(byte value)
    {
        if ((B & Hours24) != 0)
        {
            return Math.Clamp(Decode(value), 0, 23);
        }

        int shown = Math.Clamp(Decode((byte)(value & 0x7f)), 1, 12) % 12;
        return shown + ((value & 0x80) != 0 ? 12 : 0);
    }

    // The first second after the given one that the alarm registers match; the greatest value if none does. At most one day ahead.
    private ulong NextAlarm(ulong after)
    {
        byte hourAlarm = _cmos[(int)RtcRegister.HoursAlarm];
        byte minuteAlarm = _cmos[(int)RtcRegister.MinutesAlarm];
        byte secondAlarm = _cmos[(int)RtcRegister.SecondsAlarm];
        const ulong longestSearch = 25 + 60 + 60 + 4;
        ulong candidate = after + 1;
        for (ulong i = 0; i < longestSearch; i++)
        {
            int ofDay = (int)(candidate % 86_400);
            if (hourAlarm < AnyValue && hourAlarm != EncodeHour(ofDay / 3600))
            {
                candidate += (ulong)(3600 - (ofDay % 3600));
            }
            else if (minuteAlarm < AnyValue && minuteAlarm != Encode(ofDay / 60 % 60))
            {
                candidate += (ulong)(60 - (ofDay % 60));
            }
            else if (secondAlarm < AnyValue && secondAlarm != Encode(ofDay % 60))
            {
                candidate++;
            }
            else
            {
                return candidate;
            }
        }

        return ulong.MaxValue;
    }

    // As firmware leaves them: KiB of base and extended memory, units of 64 KiB above 16 MiB and above 4 GiB.
    private void FillMemorySizes()
    {
        const ulong mebibyte = 1 << 20;
        _cmos[(int)RtcRegister.Equipment] = 0x02; // A coprocessor.
        Put16(RtcRegister.BaseMemoryLow, 640);
        ulong extended = Math.Min(0xfc00, (_ramBelow4G > mebibyte ? _ramBelow4G - mebibyte : 0) / 1024);
        Put16(RtcRegister.ExtendedMemoryLow, extended);
        Put16(RtcRegister.ExtendedMemoryCopyLow, extended);
        Put16(RtcRegister.MemoryAbove16MLow, Math.Min(0xffff, (_ramBelow4G > 16 * mebibyte ? _ramBelow4G - (16 * mebibyte) : 0) >> 16));
        ulong high = Math.Min(0xff_ffff, _ramAbove4G >> 16);
        Put16(RtcRegister.MemoryAbove4GLow, high & 0xffff);
        _cmos[(int)RtcRegister.MemoryAbove4GLow + 2] = (byte)(high >> 16);
        uint sum = 0;
        for (int i = 0x10; i < (int)RtcRegister.Checksum; i++)
        {
            sum += _cmos[i];
        }

        _cmos[(int)RtcRegister.Checksum] = (byte)(sum >> 8);
        _cmos[(int)RtcRegister.Checksum + 1] = (byte)sum;
    }

    private void Put16(RtcRegister low, ulong value)
    {
        _cmos[(int)low] = (byte)value;
        _cmos[(int)low + 1] = (byte)(value >> 8);
    }
}
