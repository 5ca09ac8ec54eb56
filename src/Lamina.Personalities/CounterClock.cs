using Lamina.Machine.Time;

namespace Lamina.Personalities;

/// <summary>
/// The machine clock as guests compute it, from time-stamp counters that may go a little faster or slower than it: where they do, the time of records, registers and timers goes by the counters, as a guest's does, and
/// drifts from the machine clock. What a pause or a setting of a counter moves is no drift; that goes into the records. Any thread.
/// </summary>
internal sealed class CounterClock(IMachineClock machine, ulong tscFrequency) : IMachineClock
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    // More than that at once is a jump: 1 ms.
    private readonly long _mostDrift = (long)(tscFrequency / 1000);
    private long _drift;
    private long _driftTime;
    private ulong _latest;
    private volatile bool _follows;

    /// <inheritdoc/>
    public ulong Now => _follows ? GetMonotonic() : machine.Now + (ulong)Volatile.Read(ref _driftTime);

    /// <inheritdoc/>
    public ulong UnixTime => machine.UnixTime;

    /// <summary>How many ticks more than the machine clock says the counters have counted, of themselves.</summary>
    internal long Drift => Volatile.Read(ref _drift);

    /// <summary>Where a counter is that has counted from zero and was not set.</summary>
    internal ulong Ticks => (ulong)((UInt128)machine.Now * tscFrequency / NanosecondsPerSecond) + (ulong)Drift;

    /// <inheritdoc/>
    public IClockTimer CreateTimer(ITimerTarget target) => new Timer(this, machine.CreateTimer(target));

    /// <summary>Takes it that a counter is where it is. Under the personality's lock.</summary>
    /// <param name="lead">How far the counter is ahead of the machine clock, in ticks.</param>
    /// <param name="offset">How far it was set ahead.</param>
    /// <param name="jump">How far it is elsewhere than it can be by drift; 0 if it is not.</param>
    internal void Follow(long lead, long offset, out long jump)
    {
        jump = 0;
        long moved = lead - offset - _drift;
        if (moved == 0)
        {
            return;
        }

        if (Math.Abs(moved) > _mostDrift)
        {
            jump = moved;
            return;
        }

        _follows = true;
        SetDrift(_drift + moved);
    }

    /// <summary>There is no drift yet.</summary>
    internal void Reset() => SetDrift(0);

    /// <summary>Takes the drift of a machine that was saved, when the machine clock is where it was then.</summary>
    /// <returns><c>false</c>, with none taken, if it is more than any machine has.</returns>
    internal bool TryRestore(long drift)
    {
        // A thousandth, which no host's clock is wrong by.
        ulong most = (machine.Now / 1000) + NanosecondsPerSecond;
        Int128 time = ToTime(drift);
        bool possible = Int128.Abs(time) <= most && time + machine.Now >= 0;
        SetDrift(possible ? drift : 0);
        return possible;
    }

    private Int128 ToTime(long ticks) => (Int128)ticks * NanosecondsPerSecond / tscFrequency;

    private void SetDrift(long value)
    {
        Volatile.Write(ref _drift, value);
        Volatile.Write(ref _driftTime, (long)ToTime(value));
    }

    // What is measured is not quite exact, and nobody is to find the time going back.
    private ulong GetMonotonic()
    {
        ulong now = machine.Now + (ulong)Volatile.Read(ref _driftTime);
        while (true)
        {
            ulong latest = Volatile.Read(ref _latest);
            if (now <= latest)
            {
                return latest;
            }

            if (Interlocked.CompareExchange(ref _latest, now, latest) == latest)
            {
                return now;
            }
        }
    }

    private sealed class Timer(CounterClock clock, IClockTimer timer) : IClockTimer
    {
        /// <inheritdoc/>
        public void Arm(ulong deadline)
        {
            long drift = Volatile.Read(ref clock._driftTime);
            timer.Arm(drift > 0 && deadline < (ulong)drift ? 0 : deadline - (ulong)drift);
        }

        /// <inheritdoc/>
        public void Cancel() => timer.Cancel();
    }
}
