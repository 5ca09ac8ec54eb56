using Lamina.Machine.Time;

namespace Lamina.Tests.Fakes;

/// <summary>A clock that moves when the test says so, and fires timers in order on the way.</summary>
internal sealed class ManualClock : IMachineClock
{
    private readonly List<Timer> _timers = [];

    public ulong Now { get; private set; }

    public ulong UnixEpoch { get; set; } = 1_700_000_000_000_000_000;

    public ulong UnixTime => UnixEpoch + Now;

    public int Armed => _timers.Count(t => t.Deadline != null);

    public IClockTimer CreateTimer(ITimerTarget target)
    {
        Timer timer = new(target);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Moves on, firing each timer at its deadline.</summary>
    public void Advance(ulong nanoseconds)
    {
        ulong end = Now + nanoseconds;
        while (_timers.Where(t => t.Deadline <= end).MinBy(t => t.Deadline) is { } next)
        {
            Now = Math.Max(Now, next.Deadline!.Value);
            next.Deadline = null;
            next.Target.OnTimer();
        }

        Now = end;
    }

    /// <summary>Moves on, and nobody comes to the timers yet.</summary>
    public void Pass(ulong nanoseconds) => Now += nanoseconds;

    /// <summary>Moves on as a busy host does: timers fire once, late, at the end.</summary>
    public void AdvanceLate(ulong nanoseconds)
    {
        Now += nanoseconds;
        foreach (Timer timer in _timers.Where(t => t.Deadline <= Now).ToArray())
        {
            timer.Deadline = null;
            timer.Target.OnTimer();
        }
    }

    private sealed class Timer(ITimerTarget target) : IClockTimer
    {
        public ITimerTarget Target { get; } = target;

        public ulong? Deadline { get; set; }

        public void Arm(ulong deadline) => Deadline = deadline;

        public void Cancel() => Deadline = null;
    }
}
