using Lamina.Machine.Backends;
using Lamina.Machine.Time;

namespace Lamina.Machine.Limits;

/// <summary>A disk's back end with limits, which may change at any time: requests that come too fast wait, in order.</summary>
public sealed class LimitedDisk : IBlockBackend, ILimited, ITimerTarget
{
    private readonly IBlockBackend _inner;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly ILock _gate;
    private IoThrottle _throttle;
    private IoLimits _limits;
    private BlockRequest? _first;
    private BlockRequest? _last;
    private TrafficCounters _traffic;

    /// <summary>Puts limits before a back end; <paramref name="gate"/> is its own.</summary>
    public LimitedDisk(IBlockBackend inner, IMachineClock clock, ILock gate, IoLimits limits)
    {
        _inner = inner;
        _clock = clock;
        _gate = gate;
        _timer = clock.CreateTimer(this);
        _limits = limits;
        _throttle.Set(limits, clock.Now);
    }

    /// <inheritdoc/>
    public ulong Length => _inner.Length;

    /// <inheritdoc/>
    public bool IsReadOnly => _inner.IsReadOnly;

    /// <inheritdoc/>
    public bool CanDiscard => _inner.CanDiscard;

    /// <inheritdoc/>
    public uint PreferredBlock => _inner.PreferredBlock;

    /// <inheritdoc/>
    public IoLimits Limits => Volatile.Read(ref _limits);

    /// <summary>Requests that the guest has made since the start, and their bytes. Any thread.</summary>
    public TrafficCounters Traffic
    {
        get
        {
            _gate.Enter();
            TrafficCounters traffic = _traffic;
            _gate.Exit();
            return traffic;
        }
    }

    /// <summary>Sets other limits, for requests that wait, too. Any thread.</summary>
    public void SetLimits(IoLimits limits)
    {
        _gate.Enter();
        Volatile.Write(ref _limits, limits);
        _throttle.Set(limits, _clock.Now);
        bool waiting = _first is not null;
        _gate.Exit();
        if (waiting)
        {
            // Those that wait are submitted on the event loop.
            _timer.Arm(_clock.Now);
        }
    }

    /// <inheritdoc/>
    public bool Submit(BlockRequest request)
    {
        _gate.Enter();
        CountTraffic(request);
        bool passes = !_throttle.IsLimited && _first is null;
        if (!passes)
        {
            passes = _first is null && _throttle.IsOpen(_clock.Now);
            if (passes)
            {
                _throttle.Take(CountBytes(request));
            }
            else
            {
                Enqueue(request);
            }
        }

        _gate.Exit();
        return passes && _inner.Submit(request);
    }

    /// <inheritdoc/>
    public void Drain()
    {
        // Whoever ends the machine does not wait for its guest's allowance. What has ended may have been followed by another part.
        do
        {
            while (TryDequeue(ignoreLimits: true) is { } request)
            {
                SubmitLate(request);
            }

            _inner.Drain();
        }
        while (HasWaiting());
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        while (TryDequeue(ignoreLimits: false) is { } request)
        {
            SubmitLate(request);
        }
    }

    // What is only noted, and what writes nothing, has no bytes.
    private static ulong CountBytes(BlockRequest request) => request.Operation is BlockOperation.Read or BlockOperation.Write ? request.Length : 0;

    private void CountTraffic(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Read)
        {
            _traffic = _traffic.CountIn(request.Length);
        }
        else if (request.Operation == BlockOperation.Write)
        {
            _traffic = _traffic.CountOut(request.Length);
        }
    }

    private void SubmitLate(BlockRequest request)
    {
        if (_inner.Submit(request))
        {
            request.Complete(request.Result);
        }
    }

    private void Enqueue(BlockRequest request)
    {
        request.Next = null;
        if (_first is null)
        {
            _first = request;
            _timer.Arm(_throttle.OpensAt);
        }
        else
        {
            _last!.Next = request;
        }

        _last = request;
    }

    private bool HasWaiting()
    {
        _gate.Enter();
        bool waiting = _first is not null;
        _gate.Exit();
        return waiting;
    }

    private BlockRequest? TryDequeue(bool ignoreLimits)
    {
        _gate.Enter();
        BlockRequest? request = _first;
        if (request is not null)
        {
            if (ignoreLimits || _throttle.IsOpen(_clock.Now))
            {
                _throttle.Take(CountBytes(request));
                _first = request.Next;
                request.Next = null;
            }
            else
            {
                _timer.Arm(_throttle.OpensAt);
                request = null;
            }
        }

        _gate.Exit();
        return request;
    }
}
