using Lamina.Machine.Time;

namespace Lamina.Vmm.Timing;

/// <summary>A timer of the <see cref="MachineClock"/>, which owns its fields.</summary>
internal sealed class ClockTimer(MachineClock clock, ITimerTarget target) : IClockTimer
{
    /// <summary>Not in the heap.</summary>
    internal const int Disarmed = -1;

    /// <summary>Position in the heap of armed timers.</summary>
    internal int Position { get; set; } = Disarmed;

    /// <summary>When it fires.</summary>
    internal ulong Deadline { get; set; }

    internal ITimerTarget Target { get; } = target;

    /// <inheritdoc/>
    public void Arm(ulong deadline) => clock.Arm(this, deadline);

    /// <inheritdoc/>
    public void Cancel() => clock.Cancel(this);
}
