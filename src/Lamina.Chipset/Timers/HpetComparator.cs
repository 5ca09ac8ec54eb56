using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Timers;

/// <summary>One comparator of the HPET (IA-PC HPET specification 1.0a, section 2.3.8). The HPET's lock guards it.</summary>
internal sealed class HpetComparator : ITimerTarget
{
    private const ulong Level = 1 << 1;
    private const ulong InterruptEnable = 1 << 2;
    private const ulong Periodic = 1 << 3;
    private const ulong PeriodicCapable = 1 << 4;
    private const ulong Is64BitCapable = 1 << 5;
    private const ulong ValueSet = 1 << 6;
    private const ulong Mode32Bit = 1 << 8;
    private const int RouteShift = 9;
    private const ulong RouteMask = 0x1f << RouteShift;
    private const ulong Writable = Level | InterruptEnable | Periodic | ValueSet | Mode32Bit | RouteMask;

    // ISA interrupts 10 and 11, which nothing else uses.
    private const ulong RouteCapabilities = 0xc00UL << 32;
    private const ulong ShortestInterval = 100_000 / Hpet.TickNanoseconds;
    private const ulong NoDeadline = 0;

    private readonly Hpet _hpet;
    private readonly int _index;
    private readonly IMachineClock _clock;
    private readonly ILock _gate;
    private readonly IClockTimer _timer;
    private ulong _configuration;
    private ulong _comparator = ulong.MaxValue;
    private ulong _period;
    private ulong _lastMatch;
    private ulong _deadline;

    public HpetComparator(Hpet hpet, int index, IMachineClock clock, ILock gate)
    {
        _hpet = hpet;
        _index = index;
        _clock = clock;
        _gate = gate;
        _timer = clock.CreateTimer(this);
    }

    public bool IsLevel => (_configuration & Level) != 0;

    public bool IsInterruptEnabled => (_configuration & InterruptEnable) != 0;

    /// <summary>Interrupt line, 0 for none.</summary>
    public int Route
    {
        get
        {
            int route = (int)((_configuration & RouteMask) >> RouteShift);
            return (RouteCapabilities >> 32 >> route & 1) != 0 ? route : 0;
        }
    }

    private bool IsPeriodic => (_configuration & Periodic) != 0;

    private ulong CounterMask => (_configuration & Mode32Bit) != 0 ? uint.MaxValue : ulong.MaxValue;

    public void Reset()
    {
        _configuration = 0;
        _comparator = ulong.MaxValue;
        _period = 0;
        _lastMatch = 0;
        _deadline = NoDeadline;
        _timer.Cancel();
    }

    public ulong Read(ulong register)
    {
        switch (register)
        {
            case 0:
                return _configuration | PeriodicCapable | Is64BitCapable | RouteCapabilities;
            case 1:
                CatchUp();
                return _comparator & CounterMask;
            default:
                return 0;
        }
    }

    public void Write(ulong register, ulong value, ulong mask)
    {
        if (register == 0)
        {
            if (IsLevel)
            {
                _hpet.RefreshLine(_index, release: true);
            }

            _configuration = ((_configuration & ~mask) | (value & mask)) & Writable;
            if (IsLevel)
            {
                _hpet.RefreshLine(_index, release: false);
            }
        }
        else if (register == 1)
        {
            WriteComparator(value, mask);
        }

        Schedule();
    }

    /// <summary>Arms the host timer for the next match, or disarms it.</summary>
    public void Schedule()
    {
        _deadline = NoDeadline;
        if (!_hpet.IsRunning || !_hpet.IsEnabled || (!IsInterruptEnabled && !IsLevel) || (IsPeriodic && _period == 0))
        {
            _timer.Cancel();
            return;
        }

        CatchUp();
        ulong remaining = (_comparator - _hpet.Counter) & CounterMask;
        ulong now = _clock.Now;
        ulong deadline = TickRate.AddSaturating(now, remaining > ulong.MaxValue / Hpet.TickNanoseconds ? ulong.MaxValue : remaining * Hpet.TickNanoseconds);
        if (IsPeriodic)
        {
            deadline = Math.Max(deadline, TickRate.AddSaturating(_lastMatch, ShortestInterval * Hpet.TickNanoseconds));
        }

        _deadline = Math.Max(deadline, 1);
        _timer.Arm(_deadline);
    }

    public void OnTimer()
    {
        _gate.Enter();
        if (!MatchIfDue() && _hpet.IsRunning && _deadline != NoDeadline)
        {
            _timer.Arm(_deadline);
        }

        _gate.Exit();
    }

    /// <summary>Delivers a match whose time has come although the host timer is late, before a register changes. The lock is held.</summary>
    public bool MatchIfDue()
    {
        if (!_hpet.IsRunning || _deadline == NoDeadline)
        {
            return false;
        }

        ulong now = _clock.Now;
        if (now < _deadline)
        {
            return false;
        }

        _lastMatch = now;
        _hpet.OnMatch(_index);
        ScheduleAfterMatch();
        return true;
    }

    public void Save(IStateWriter state, ushort first)
    {
        state.Write(first, _configuration);
        state.Write((ushort)(first + 1), _comparator);
        state.Write((ushort)(first + 2), _period);
        state.Write((ushort)(first + 3), _lastMatch);
    }

    public bool Restore(IStateReader state, ushort first)
    {
        return state.TryTake(first, ref _configuration)
            & state.TryTake((ushort)(first + 1), ref _comparator)
            & state.TryTake((ushort)(first + 2), ref _period)
            & state.TryTake((ushort)(first + 3), ref _lastMatch)
            & (_configuration & ~Writable) == 0;
    }

    private void WriteComparator(ulong value, ulong mask)
    {
        if (!IsPeriodic || (_configuration & ValueSet) != 0)
        {
            _comparator = (_comparator & ~mask) | (value & mask);
        }

        if (IsPeriodic)
        {
            // What was written last is what each match adds.
            _period = ((_period & ~mask) | (value & mask)) & CounterMask;
        }

        _configuration &= ~ValueSet;
    }

    // A one-shot that has just matched does so again only when the counter comes round.
    private void ScheduleAfterMatch()
    {
        if (!IsPeriodic && ((_comparator - _hpet.Counter) & CounterMask) == 0)
        {
            _deadline = TickRate.AddSaturating(_clock.Now, CounterMask == uint.MaxValue ? (1UL << 32) * Hpet.TickNanoseconds : ulong.MaxValue);
            _timer.Arm(_deadline);
            return;
        }

        Schedule();
    }

    // The comparator of a periodic timer is the next match: moves it past the counter by whole periods.
    private void CatchUp()
    {
        if (!IsPeriodic || _period == 0 || !_hpet.IsEnabled)
        {
            return;
        }

        ulong mask = CounterMask;
        ulong passed = (_hpet.Counter - _comparator) & mask;
        if (passed <= mask >> 1)
        {
            _comparator = (_comparator + (((passed / _period) + 1) * _period)) & mask;
        }
    }
}
