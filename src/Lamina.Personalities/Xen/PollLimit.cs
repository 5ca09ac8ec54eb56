using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Personalities.Xen;

/// <summary>Has a processor that waits for event channels look again when its time is over. With the domain's lock held.</summary>
internal sealed class PollLimit : ITimerTarget
{
    private const ulong LatestDeadline = ulong.MaxValue / 2;

    private readonly ILock _gate;
    private readonly IClockTimer _timer;
    private ulong _deadline;
    private bool _armed;
    private bool _running;

    internal PollLimit(ILock gate, IMachineClock clock)
    {
        _gate = gate;
        _timer = clock.CreateTimer(this);
    }

    /// <summary>The processor.</summary>
    internal IProcessorSignals? Signals { get; set; }

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && _armed)
        {
            _armed = false;
            Signals?.SignalKick();
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

    /// <summary>The processor waits until then, on the machine clock.</summary>
    internal void Set(ulong deadline)
    {
        (_deadline, _armed) = (Math.Min(deadline, LatestDeadline), true);
        Arm();
    }

    /// <summary>The processor waits no more.</summary>
    internal void Cancel()
    {
        _armed = false;
        _timer.Cancel();
    }

    /// <summary>Writes two fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _armed);
        state.Write((ushort)(field + 1), _deadline);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field) =>
        (state.TryTake(field, ref _armed) & state.TryTake((ushort)(field + 1), ref _deadline)) && _deadline <= LatestDeadline;

    private void Arm()
    {
        if (_running && _armed)
        {
            _timer.Arm(_deadline);
        }
    }
}
