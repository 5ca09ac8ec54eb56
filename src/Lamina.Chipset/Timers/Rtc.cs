using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Timers;

/// <summary>
/// MC146818 real-time clock with 128 bytes of CMOS RAM (Motorola MC146818A datasheet). The time is the machine's plus an offset, which setting the clock changes. The
/// flags of register C are worked out when somebody looks; a host timer runs only towards an enabled interrupt whose flag is still clear.
/// </summary>
public sealed partial class Rtc : IDevice, ITimerTarget, IBytePorts
{
    private const int CmosSize = 128;
    private const ulong Second = 1_000_000_000;
    private const byte UpdateInProgress = 0x80;
    private const byte Set = 0x80;
    private const byte PeriodicBit = 0x40;
    private const byte AlarmBit = 0x20;
    private const byte UpdateBit = 0x10;
    private const byte NormalA = 0x26; // 32.768 kHz crystal, periodic rate 1024 Hz.
    private const byte Binary = 0x04;
    private const byte Hours24 = 0x02;
    private const byte InterruptBits = PeriodicBit | AlarmBit | UpdateBit;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly InterruptLine _interrupt;
    private readonly ulong _ramBelow4G;
    private readonly ulong _ramAbove4G;
    private readonly byte[] _cmos = new byte[CmosSize];
    private IAlarmObserver? _alarm;
    private bool _alarmed;
    private byte _index;
    private byte _flags;
    private long _offset;
    private CalendarTime _frozen;
    private int _frozenDayOfWeek;
    private int _dayOfWeekOffset;
    private ulong _seen;
    private ulong _deadline;
    private bool _running;

    /// <summary>Makes it, in the state after power-on.</summary>
    /// <param name="name">Device name.</param>
    /// <param name="clock">The machine clock.</param>
    /// <param name="gate">The device's lock.</param>
    /// <param name="interrupt">Interrupt line 8.</param>
    /// <param name="ramBelow4G">Bytes of RAM below 4 GiB, for the CMOS.</param>
    /// <param name="ramAbove4G">Bytes of RAM from 4 GiB on, for the CMOS.</param>
    public Rtc(string name, IMachineClock clock, ILock gate, InterruptLine interrupt, ulong ramBelow4G, ulong ramAbove4G)
    {
        Name = name;
        _clock = clock;
        _gate = gate;
        _interrupt = interrupt;
        _ramBelow4G = ramBelow4G;
        _ramAbove4G = ramAbove4G;
        _timer = clock.CreateTimer(this);
        _frozen = CalendarTime.FromUnixSeconds(0);
        _cmos[(int)RtcRegister.A] = NormalA;
        _cmos[(int)RtcRegister.B] = Hours24;
        _seen = Time;
        FillMemorySizes();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The RTC's own time in nanoseconds since 1970.</summary>
    private ulong Time => _clock.UnixTime + (ulong)_offset;

    private byte A => _cmos[(int)RtcRegister.A];

    private byte B => _cmos[(int)RtcRegister.B];

    /// <summary>The divider chain is held in reset.</summary>
    private bool DividerHeld => (A & 0x60) == 0x60;

    /// <summary>The time does not advance.</summary>
    private bool Frozen => (B & Set) != 0 || DividerHeld;

    /// <summary>Whom to tell of alarms. Before the machine starts.</summary>
    public void Connect(IAlarmObserver alarm) => _alarm = alarm;

    /// <summary>Maps ports 0x70 and 0x71.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.Rtc, 2, new BytePortWindow(this, 0));

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _running = true;
        Schedule();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _running = false;
        _timer.Cancel();
        _gate.Exit();
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Time and RAM are on the battery. The control registers and the memory sizes are then as firmware leaves them: running, decimal, 24 hours, no interrupts.
    /// </remarks>
    public void Reset()
    {
        _gate.Enter();
        Advance();
        _index = 0;
        _flags = 0;
        WriteA(NormalA);
        WriteB(Hours24);
        FillMemorySizes();
        UpdateInterrupt();
        Schedule();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _index);
        state.Write(2, _flags);
        state.Write(3, (ulong)_offset);
        state.Write(4, _frozen.Pack());
        state.Write(5, (ulong)_dayOfWeekOffset);
        state.Write(6, _seen);
        state.Write(7, _cmos);
        state.Write(8, (ulong)_frozenDayOfWeek);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        ulong offset = 0;
        ulong frozen = 0;
        byte day = 0;
        byte frozenDay = 0;
        bool valid = state.TryTake(1, 0x7f, ref _index)
            & state.TryTake(2, InterruptBits, ref _flags)
            & state.TryTake(3, ref offset)
            & state.TryTake(4, ref frozen)
            & state.TryTake(5, 6, ref day)
            & state.TryTake(6, ref _seen)
            & state.TryTake(7, _cmos)
            & state.TryTake(8, 6, ref frozenDay);
        _offset = (long)offset;
        bool frozenValid = CalendarTime.TryUnpack(frozen, out _frozen);
        _frozenDayOfWeek = frozenDay;
        _dayOfWeekOffset = day;
        _alarmed = (_flags & B & AlarmBit) != 0;
        return valid && frozenValid && (_flags & ~InterruptBits) == 0;
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && _deadline != 0)
        {
            Advance();
            UpdateInterrupt();
            Schedule();
        }

        _gate.Exit();
    }

    byte IBytePorts.ReadPort(int register)
    {
        if (register == 0)
        {
            return 0xff; // The index cannot be read back.
        }

        _gate.Enter();
        byte value = ReadCmos(_index);
        _gate.Exit();
        return value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        if (register == 0)
        {
            _index = (byte)(value & 0x7f); // Bit 7 masks NMI, of which the chipset raises none.
        }
        else
        {
            WriteCmos(_index, value);
        }

        _gate.Exit();
    }

    private void UpdateInterrupt()
    {
        byte asking = (byte)(_flags & B & InterruptBits);
        _interrupt.Set(asking != 0);
        bool alarmed = (asking & AlarmBit) != 0;
        if (alarmed && !_alarmed)
        {
            _alarm?.OnAlarm();
        }

        _alarmed = alarmed;
    }

    // Brings the flags up to date with the time that has gone by since the last look.
    private void Advance()
    {
        ulong now = Time;
        ulong seen = _seen;
        _seen = now;
        if (now <= seen)
        {
            return;
        }

        uint period = PeriodTicks;
        if (period != 0 && !DividerHeld && TicksOf(now) / period != TicksOf(seen) / period)
        {
            _flags |= PeriodicBit;
        }

        if (Frozen || now / Second == seen / Second)
        {
            return;
        }

        _flags |= UpdateBit;
        if ((_flags & AlarmBit) == 0 && NextAlarm(seen / Second) <= now / Second)
        {
            _flags |= AlarmBit;
        }
    }

    // Arms the host timer for the first enabled interrupt whose flag is clear.
    private void Schedule()
    {
        _deadline = 0;
        byte wanted = (byte)(B & ~_flags & InterruptBits);
        ulong next = ulong.MaxValue;
        ulong now = _seen;
        uint period = PeriodTicks;
        if ((wanted & PeriodicBit) != 0 && period != 0 && !DividerHeld)
        {
            next = TimeOf(((TicksOf(now) / period) + 1) * period);
        }

        if (!Frozen && (wanted & UpdateBit) != 0)
        {
            next = Math.Min(next, ((now / Second) + 1) * Second);
        }

        if (!Frozen && (wanted & AlarmBit) != 0)
        {
            ulong alarm = NextAlarm(now / Second);
            next = Math.Min(next, alarm == ulong.MaxValue ? alarm : alarm * Second);
        }

        if (!_running || next == ulong.MaxValue)
        {
            _timer.Cancel();
            return;
        }

        ulong time = Time;
        _deadline = Math.Max(1, _clock.Now + (next > time ? next - time : 0));
        _timer.Arm(_deadline);
    }
}
