using Lamina.Machine.Time;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>A clock that stands still.</summary>
internal sealed class StoppedClock : IMachineClock, IClockTimer
{
    public ulong Now => 0;

    public ulong UnixTime => 0;

    public IClockTimer CreateTimer(ITimerTarget target) => this;

    public void Arm(ulong deadline)
    {
    }

    public void Cancel()
    {
    }
}
