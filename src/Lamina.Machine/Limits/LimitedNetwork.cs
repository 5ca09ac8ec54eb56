using Lamina.Machine.Backends;
using Lamina.Machine.Time;

namespace Lamina.Machine.Limits;

/// <summary>A wire with limits, which may change at any time, for each direction: packets that come too fast wait at their sender.</summary>
public sealed class LimitedNetwork : INetworkBackend, INetworkReceiver, ITimerTarget
{
    private readonly INetworkBackend _inner;
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly ILock _gate;
    private INetworkReceiver? _receiver;
    private IoThrottle _sending;
    private IoThrottle _receiving;
    private bool _senderWaits;
    private bool _wireWaits;
    private TrafficCounters _traffic;

    /// <summary>Puts limits before a wire; <paramref name="gate"/> is its own.</summary>
    public LimitedNetwork(INetworkBackend inner, IMachineClock clock, ILock gate, IoLimits limits)
    {
        _inner = inner;
        _clock = clock;
        _gate = gate;
        _timer = clock.CreateTimer(this);
        _sending.Set(limits, clock.Now);
        _receiving.Set(limits, clock.Now);
        inner.SetReceiver(this);
    }

    /// <inheritdoc/>
    public NetworkOffloads Offloads => _inner.Offloads;

    /// <inheritdoc/>
    public int MaximumTransmissionUnit => _inner.MaximumTransmissionUnit;

    /// <summary>Frames that have passed since the start, and their bytes without the header. Any thread.</summary>
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

    /// <summary>Sets other limits. Any thread.</summary>
    public void SetLimits(IoLimits limits)
    {
        _gate.Enter();
        ulong now = _clock.Now;
        _sending.Set(limits, now);
        _receiving.Set(limits, now);
        bool waiting = _senderWaits || _wireWaits;
        _gate.Exit();
        if (waiting)
        {
            _timer.Arm(now);
        }
    }

    /// <inheritdoc/>
    public void SetReceiver(INetworkReceiver receiver) => _receiver = receiver;

    /// <inheritdoc/>
    public void Start() => _inner.Start();

    /// <inheritdoc/>
    public void Stop() => _inner.Stop();

    /// <inheritdoc/>
    public void SetReceiveOffloads(NetworkOffloads offloads) => _inner.SetReceiveOffloads(offloads);

    /// <inheritdoc/>
    public bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        if (!MayPass(ref _sending, ref _senderWaits) || !_inner.TryTransmit(buffers))
        {
            return false;
        }

        ulong length = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            length += buffer.Length;
        }

        Count(ref _sending, length, outward: true);
        return true;
    }

    /// <inheritdoc/>
    public void ResumeReceive() => _inner.ResumeReceive();

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        if (!MayPass(ref _receiving, ref _wireWaits) || !_receiver!.TryReceive(packet))
        {
            return false;
        }

        Count(ref _receiving, (ulong)packet.Length, outward: false);
        return true;
    }

    /// <inheritdoc/>
    public void OnTransmitReady() => _receiver!.OnTransmitReady();

    /// <inheritdoc/>
    public void OnLinkChanged(bool up) => _receiver!.OnLinkChanged(up);

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        ulong now = _clock.Now;
        bool sends = _senderWaits && _sending.IsOpen(now);
        bool receives = _wireWaits && _receiving.IsOpen(now);
        _senderWaits &= !sends;
        _wireWaits &= !receives;
        Arm();
        _gate.Exit();
        if (sends)
        {
            _receiver!.OnTransmitReady();
        }

        if (receives)
        {
            _inner.ResumeReceive();
        }
    }

    private bool MayPass(ref IoThrottle throttle, ref bool waits)
    {
        _gate.Enter();
        bool passes = !throttle.IsLimited || throttle.IsOpen(_clock.Now);
        if (!passes)
        {
            waits = true;
            Arm();
        }

        _gate.Exit();
        return passes;
    }

    private void Count(ref IoThrottle throttle, ulong length, bool outward)
    {
        length -= Math.Min(length, INetworkBackend.HeaderLength);
        _gate.Enter();
        _traffic = outward ? _traffic.CountOut(length) : _traffic.CountIn(length);
        throttle.Take(length);
        _gate.Exit();
    }

    private void Arm()
    {
        if (_senderWaits || _wireWaits)
        {
            _timer.Arm(Math.Min(_senderWaits ? _sending.OpensAt : ulong.MaxValue, _wireWaits ? _receiving.OpensAt : ulong.MaxValue));
        }
    }
}
