using System.Diagnostics;
using Lamina.Interop.Events;
using Lamina.Machine.Time;
using Lamina.Vmm.Events;

namespace Lamina.Vmm.Timing;

/// <summary>
/// The machine's time: the host's monotonic clock less the time before the start and in pauses. All timers share one host timer, which is set only when an earlier deadline
/// comes up; a timer that is cancelled or put off leaves it alone, and the loop then wakes once for nothing.
/// </summary>
internal sealed class MachineClock : IMachineClock, IReadinessTarget, IDisposable
{
    private const long Running = -1;
    private const ulong NotSet = ulong.MaxValue;
    private const ulong Never = long.MaxValue / 2;

    // A guest may ask for more expiries than the host can give. After this many the loop turns to its other work.
    private const int MostExpiriesAtOnce = 256;

    private readonly HostTimer _hostTimer = new();
    private readonly Lock _lock = new();
    private ClockTimer[] _heap = [];
    private int _created;
    private int _armed;
    private ulong _hostTimerDeadline = NotSet;
    private long _offset;
    private long _stoppedAt;

    /// <summary>Makes a clock that stands at zero.</summary>
    internal MachineClock(EventLoop loop)
    {
        loop.Watch(_hostTimer.Descriptor, Readiness.Readable, this);
    }

    /// <inheritdoc/>
    public ulong Now
    {
        get
        {
            long stopped = Volatile.Read(ref _stoppedAt);
            return (ulong)(stopped != Running ? stopped : HostNow - Volatile.Read(ref _offset));
        }
    }

    /// <inheritdoc/>
    public ulong? HostOffset => Volatile.Read(ref _stoppedAt) == Running && Stopwatch.Frequency == 1_000_000_000 ? (ulong)Volatile.Read(ref _offset) : null;

    /// <inheritdoc/>
    public ulong UnixTime => (ulong)(TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;

    private static long HostNow => Stopwatch.Frequency == 1_000_000_000
        ? Stopwatch.GetTimestamp()
        : (long)(Stopwatch.GetTimestamp() * (Int128)1_000_000_000 / Stopwatch.Frequency);

    /// <inheritdoc/>
    public IClockTimer CreateTimer(ITimerTarget target)
    {
        lock (_lock)
        {
            if (++_created > _heap.Length)
            {
                Array.Resize(ref _heap, Math.Max(16, 2 * _created));
            }
        }

        return new ClockTimer(this, target);
    }

    /// <inheritdoc/>
    public void OnReady(Readiness readiness)
    {
        _hostTimer.Clear();
        for (int i = 0; i < MostExpiriesAtOnce; i++)
        {
            ClockTimer timer;
            lock (_lock)
            {
                _hostTimerDeadline = NotSet;
                if (_stoppedAt != Running || _armed == 0 || _heap[0].Deadline > Now)
                {
                    SetHostTimer();
                    return;
                }

                timer = _heap[0];
                Remove(timer);
            }

            timer.Target.OnTimer();
        }

        lock (_lock)
        {
            SetHostTimer();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _hostTimer.Dispose();

    /// <summary>Sets the time of a clock that has not been started.</summary>
    internal void Set(ulong now)
    {
        lock (_lock)
        {
            Volatile.Write(ref _stoppedAt, (long)now);
        }
    }

    /// <summary>Lets time pass.</summary>
    internal void Resume()
    {
        lock (_lock)
        {
            Volatile.Write(ref _offset, HostNow - _stoppedAt);
            Volatile.Write(ref _stoppedAt, Running);
            _hostTimerDeadline = NotSet;
            SetHostTimer();
        }
    }

    /// <summary>Stops time; no timer fires until it goes on. On the event loop.</summary>
    internal void Pause()
    {
        lock (_lock)
        {
            Volatile.Write(ref _stoppedAt, (long)Now);
        }
    }

    internal void Arm(ClockTimer timer, ulong deadline)
    {
        lock (_lock)
        {
            timer.Deadline = deadline;
            if (timer.Position == ClockTimer.Disarmed)
            {
                timer.Position = _armed;
                _heap[_armed++] = timer;
            }

            SiftUp(timer);
            SiftDown(timer);
            SetHostTimer();
        }
    }

    internal void Cancel(ClockTimer timer)
    {
        lock (_lock)
        {
            if (timer.Position != ClockTimer.Disarmed)
            {
                Remove(timer);
            }
        }
    }

    // Under the lock.
    private void SetHostTimer()
    {
        if (_armed > 0 && _heap[0].Deadline < Math.Min(_hostTimerDeadline, Never) && _stoppedAt == Running)
        {
            _hostTimerDeadline = _heap[0].Deadline;
            _hostTimer.Arm((long)_hostTimerDeadline + _offset);
        }
    }

    private void Remove(ClockTimer timer)
    {
        int position = timer.Position;
        ClockTimer last = _heap[--_armed];
        _heap[_armed] = null!;
        timer.Position = ClockTimer.Disarmed;
        if (last != timer)
        {
            Place(last, position);
            SiftUp(last);
            SiftDown(last);
        }
    }

    private void SiftUp(ClockTimer timer)
    {
        int position = timer.Position;
        while (position > 0 && _heap[(position - 1) / 2].Deadline > timer.Deadline)
        {
            Place(_heap[(position - 1) / 2], position);
            position = (position - 1) / 2;
        }

        Place(timer, position);
    }

    private void SiftDown(ClockTimer timer)
    {
        int position = timer.Position;
        while (true)
        {
            int child = 2 * position + 1;
            if (child >= _armed)
            {
                break;
            }

            if (child + 1 < _armed && _heap[child + 1].Deadline < _heap[child].Deadline)
            {
                child++;
            }

            if (_heap[child].Deadline >= timer.Deadline)
            {
                break;
            }

            Place(_heap[child], position);
            position = child;
        }

        Place(timer, position);
    }

    private void Place(ClockTimer timer, int position)
    {
        _heap[position] = timer;
        timer.Position = position;
    }
}
