using System.Diagnostics;
using Lamina.Machine.Time;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>The host's monotonic clock, behind by an offset.</summary>
/// <param name="offset">Nanoseconds.</param>
/// <param name="shown">Whether processors are told of the offset.</param>
internal sealed class HostClock(ulong offset, bool shown = true) : IMachineClock
{
    public ulong Now => (ulong)Stopwatch.GetTimestamp() - offset;

    public ulong? HostOffset => shown ? offset : null;

    public ulong UnixTime => Now;

    public IClockTimer CreateTimer(ITimerTarget target) => throw new NotSupportedException("these guests have no timers");
}
