using System.Runtime.InteropServices;

namespace Lamina.Interop.Events;

/// <summary><c>struct itimerspec</c>: an interval and a first expiry, each in seconds and nanoseconds.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TimerSetting
{
    public long IntervalSeconds;
    public long IntervalNanoseconds;
    public long Seconds;
    public long Nanoseconds;
}
