using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Time;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen;

/// <summary>A timer of a processor, which raises VIRQ_TIMER: once, or again and again.</summary>
internal sealed class XenTimer : ITimerTarget
{
    /// <summary>The shortest period that guests get (Xen, MILLISECS(1)).</summary>
    internal const ulong ShortestPeriod = 1_000_000;

    private const ulong LatestDeadline = ulong.MaxValue / 2;

    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly EventChannels _events;
    private readonly int _processor;
    private readonly IClockTimer _timer;
    private ulong _deadline;
    private ulong _period;
    private bool _armed;
    private bool _running;

    internal XenTimer(ILock gate, IMachineClock clock, EventChannels events, int processor)
    {
        _gate = gate;
        _clock = clock;
        _events = events;
        _processor = processor;
        _timer = clock.CreateTimer(this);
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && _armed)
        {
            ulong now = _clock.Now;
            if (now >= _deadline)
            {
                _armed = _period != 0;

                // What came too late is not made up for.
                _deadline = Math.Max(_deadline + _period, now);
                _events.RaiseVirq(EventChannels.VirqTimer, _processor);
            }

            Arm();
        }

        _gate.Exit();
    }

    internal void Start()
    {
        _running = true;
        Arm();
    }

    internal void Stop()
    {
        _running = false;
        _timer.Cancel();
    }

    /// <summary>Sets it.</summary>
    /// <param name="deadline">When, on the machine clock.</param>
    /// <param name="period">Nanoseconds until the next time; 0 for none.</param>
    internal void Set(ulong deadline, ulong period)
    {
        (_deadline, _period, _armed) = (Math.Min(deadline, LatestDeadline), period, true);
        Arm();
    }

    internal void Cancel()
    {
        _armed = false;
        _timer.Cancel();
    }

    /// <summary>Whether it fires again and again.</summary>
    internal bool IsPeriodic => _period != 0;

    /// <summary>Writes three fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _armed);
        state.Write((ushort)(field + 1), _deadline);
        state.Write((ushort)(field + 2), _period);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        bool valid = state.TryTake(field, ref _armed) & state.TryTake((ushort)(field + 1), ref _deadline) & state.TryTake((ushort)(field + 2), ref _period);
        return valid && _deadline <= LatestDeadline && _period is 0 or (>= ShortestPeriod and <= long.MaxValue);
    }

    private void Arm()
    {
        if (_running && _armed)
        {
            _timer.Arm(_deadline);
        }
    }
}
