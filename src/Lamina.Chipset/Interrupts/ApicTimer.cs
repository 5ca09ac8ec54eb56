using Lamina.Machine.Devices;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// Timer of a local APIC (Intel SDM volume 3, section 11.5.4). The vCPU thread programs it, the event loop fires it. They share only the deadline, which is
/// changed atomically: whoever replaces a deadline that has passed delivers its interrupt.
/// </summary>
internal sealed class ApicTimer : ITimerTarget
{
    // A guest may ask for a period of nanoseconds; it gets at most 10,000 interrupts a second.
    private const ulong ShortestPeriod = 100_000;
    private const ulong Idle = 0;

    private readonly LocalApic _apic;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _clockTimer;
    private readonly TickRate _tsc;
    private readonly TickRate _bus;
    private volatile bool _running;
    private volatile bool _suspended;
    private uint _initialCount;
    private uint _divideConfiguration;
    private ulong _tscDeadline;
    private ulong _period = ShortestPeriod;
    private ulong _deadline;

    public ApicTimer(LocalApic apic, IMachineClock clock, ulong tscFrequency, ulong busFrequency)
    {
        ArgumentOutOfRangeException.ThrowIfZero(tscFrequency);
        ArgumentOutOfRangeException.ThrowIfZero(busFrequency);
        _apic = apic;
        _clock = clock;
        _tsc = new TickRate(tscFrequency);
        _bus = new TickRate(busFrequency);
        _clockTimer = clock.CreateTimer(this);
    }

    /// <summary>Operating mode, from bits 18:17 of the local vector table entry.</summary>
    private enum Mode
    {
        OneShot = 0,
        Periodic = 1,
        TscDeadline = 2,
    }

    public uint InitialCount => _initialCount;

    public uint DivideConfiguration => _divideConfiguration;

    public uint CurrentCount
    {
        get
        {
            ulong deadline = Volatile.Read(ref _deadline);
            Mode mode = ModeOf(_apic.TimerEntry);
            if (deadline == Idle || mode == Mode.TscDeadline)
            {
                return 0;
            }

            ulong now = _clock.Now;
            ulong remaining = deadline - now;
            if (now >= deadline)
            {
                if (mode != Mode.Periodic)
                {
                    return 0;
                }

                remaining = _period - ((now - deadline) % _period);
            }

            ulong divisor = Divisor;
            ulong count = (_bus.ToTicks(remaining) + divisor - 1) / divisor;
            return (uint)Math.Clamp(count, 1, Math.Max(1, _initialCount));
        }
    }

    /// <summary>IA32_TSC_DEADLINE: 0 when disarmed, fired, or in another mode.</summary>
    public ulong TscDeadline
    {
        get => Volatile.Read(ref _deadline) != Idle && ModeOf(_apic.TimerEntry) == Mode.TscDeadline ? _tscDeadline : 0;
        set
        {
            if (ModeOf(_apic.TimerEntry) != Mode.TscDeadline)
            {
                return;
            }

            Volatile.Write(ref _deadline, Idle);
            _tscDeadline = value;
            if (value == 0)
            {
                _clockTimer.Cancel();
                return;
            }

            ulong deadline = _tsc.ToNanoseconds(value);
            if (deadline <= _clock.Now)
            {
                _clockTimer.Cancel();
                _apic.RaiseTimer();
                return;
            }

            ArmAt(deadline);
        }
    }

    private ulong Divisor
    {
        get
        {
            uint code = (_divideConfiguration & 3) | ((_divideConfiguration >> 1) & 4);
            return code == 7 ? 1UL : 2UL << (int)code;
        }
    }

    public void WriteInitialCount(uint value)
    {
        if (ModeOf(_apic.TimerEntry) == Mode.TscDeadline)
        {
            return;
        }

        _initialCount = value;
        Restart(value);
    }

    public void WriteDivideConfiguration(uint value)
    {
        uint remaining = CurrentCount;
        _divideConfiguration = value & 0xb;
        if (remaining != 0)
        {
            Restart(remaining);
        }
    }

    /// <summary>The local vector table entry changes. Going to or from TSC-deadline mode disarms.</summary>
    public void OnEntryChanged(uint before, uint after)
    {
        if ((ModeOf(before) == Mode.TscDeadline) != (ModeOf(after) == Mode.TscDeadline))
        {
            Disarm();
            _tscDeadline = 0;
        }
    }

    /// <summary>Stops counting. Any thread.</summary>
    public void Disarm()
    {
        Volatile.Write(ref _deadline, Idle);
        _clockTimer.Cancel();
    }

    public void Start()
    {
        _running = true;
        ArmClock();
    }

    public void Stop()
    {
        _running = false;
        _clockTimer.Cancel();
    }

    public void Reset()
    {
        Disarm();
        _initialCount = 0;
        _divideConfiguration = 0;
        _tscDeadline = 0;
        _period = ShortestPeriod;
    }

    /// <summary>Somebody else's timer takes over. The registers stay readable.</summary>
    public void Suspend()
    {
        _suspended = true;
        _clockTimer.Cancel();
    }

    /// <summary>Goes on by the registers.</summary>
    public void Resume()
    {
        _suspended = false;
        ArmClock();
    }

    /// <summary>Sets the registers to what the other timer had, without arming anything yet.</summary>
    public void TakeBack(uint initialCount, uint currentCount, uint divideConfiguration, ulong tscDeadline)
    {
        _initialCount = initialCount;
        _divideConfiguration = divideConfiguration & 0xb;
        _period = PeriodOf(initialCount);
        bool byCounter = ModeOf(_apic.TimerEntry) == Mode.TscDeadline;
        _tscDeadline = byCounter ? tscDeadline : 0;

        // A periodic timer that is at zero has just run down, and nobody has counted that tick: it does not stand still.
        bool expired = currentCount == 0 && initialCount != 0 && ModeOf(_apic.TimerEntry) == Mode.Periodic;
        ulong deadline = byCounter
            ? tscDeadline == 0 ? Idle : Math.Max(1, _tsc.ToNanoseconds(tscDeadline))
            : currentCount == 0 && !expired ? Idle : TickRate.AddSaturating(Math.Max(1, _clock.Now), _bus.ToNanoseconds(currentCount * Divisor));
        Volatile.Write(ref _deadline, deadline);
    }

    /// <summary>Delivers what has run down already, if the event loop has not come to it yet. On the vCPU's thread.</summary>
    public void Settle()
    {
        if (Volatile.Read(ref _deadline) is not Idle and ulong deadline && _clock.Now >= deadline)
        {
            OnTimer();
        }
    }

    public void OnTimer()
    {
        ulong deadline = Volatile.Read(ref _deadline);
        if (!_running || _suspended || deadline == Idle)
        {
            return;
        }

        ulong now = _clock.Now;
        if (now < deadline)
        {
            ArmClock();
            return;
        }

        // A late tick is delivered once; those missed meanwhile are dropped and the phase is kept.
        ulong period = Volatile.Read(ref _period);
        bool periodic = ModeOf(_apic.TimerEntry) == Mode.Periodic;
        ulong next = periodic ? TickRate.AddSaturating(deadline, period * (((now - deadline) / period) + 1)) : Idle;
        if (Interlocked.CompareExchange(ref _deadline, next, deadline) == deadline)
        {
            ArmClock();
            _apic.RaiseTimer();
        }
    }

    public void Save(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, _initialCount);
        state.Write((ushort)(firstField + 1), _divideConfiguration);
        state.Write((ushort)(firstField + 2), _tscDeadline);
        state.Write((ushort)(firstField + 3), Volatile.Read(ref _deadline));
    }

    public bool Restore(IStateReader state, ushort firstField)
    {
        ulong deadline = 0;
        bool valid = state.TryTake(firstField, ref _initialCount)
            & state.TryTake((ushort)(firstField + 1), ref _divideConfiguration)
            & state.TryTake((ushort)(firstField + 2), ref _tscDeadline)
            & state.TryTake((ushort)(firstField + 3), ref deadline);
        _divideConfiguration &= 0xb;
        _period = PeriodOf(_initialCount);
        Volatile.Write(ref _deadline, deadline);
        return valid;
    }

    private static Mode ModeOf(uint entry) => (Mode)((entry >> 17) & 3);

    private ulong PeriodOf(uint count) => Math.Max(ShortestPeriod, _bus.ToNanoseconds(count * Divisor));

    private void Restart(uint count)
    {
        Volatile.Write(ref _deadline, Idle);
        if (count == 0)
        {
            _clockTimer.Cancel();
            return;
        }

        Volatile.Write(ref _period, PeriodOf(_initialCount));
        ulong delay = ModeOf(_apic.TimerEntry) == Mode.Periodic ? Math.Max(ShortestPeriod, _bus.ToNanoseconds(count * Divisor)) : _bus.ToNanoseconds(count * Divisor);
        ArmAt(TickRate.AddSaturating(_clock.Now, delay));
    }

    private void ArmAt(ulong deadline)
    {
        Volatile.Write(ref _deadline, Math.Max(1, deadline));
        ArmClock();
    }

    // The two threads may arm in either order, so the last one makes sure that it is the current deadline that is armed.
    private void ArmClock()
    {
        ulong deadline = Volatile.Read(ref _deadline);
        while (_running && !_suspended && deadline != Idle)
        {
            _clockTimer.Arm(deadline);
            Interlocked.MemoryBarrier();
            ulong current = Volatile.Read(ref _deadline);
            if (current == deadline)
            {
                return;
            }

            deadline = current;
        }
    }
}
