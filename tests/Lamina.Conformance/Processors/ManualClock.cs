using Lamina.Machine.Time;

namespace Lamina.Conformance.Processors;

/// <summary>A clock that tests set.</summary>
internal sealed class ManualClock : IMachineClock
{
    public ulong Now { get; set; } = 1_000_000_000;

    public ulong UnixTime => Now;

    public IClockTimer CreateTimer(ITimerTarget target) => throw new NotSupportedException();
}
