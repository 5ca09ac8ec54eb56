using System.Runtime.InteropServices;

namespace Lamina.Interop.Events;

/// <summary>A timer on the host's monotonic clock that makes a descriptor readable (timerfd).</summary>
public sealed unsafe class HostTimer : SafeHandle
{
    private const int MonotonicClock = 1;
    private const int NonBlockingCloseOnExec = 0x800 | 0x80000;
    private const int AbsoluteTime = 1;
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Makes one that is not armed.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public HostTimer()
        : base(-1, ownsHandle: true)
    {
        int descriptor = NativeMethods.CreateTimer(MonotonicClock, NonBlockingCloseOnExec);
        SetHandle(descriptor >= 0 ? descriptor : throw SystemCallException.FromLastError("timerfd_create"));
    }

    /// <summary>Its file descriptor.</summary>
    public int Descriptor => (int)handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Makes the descriptor readable once the monotonic clock has reached <paramref name="nanoseconds"/>. Replaces an earlier time.</summary>
    public void Arm(long nanoseconds)
    {
        // Zero would disarm.
        long time = Math.Max(1, nanoseconds);
        Set(new TimerSetting { Seconds = time / NanosecondsPerSecond, Nanoseconds = time % NanosecondsPerSecond });
    }

    /// <summary>Disarms it, and makes the descriptor unreadable.</summary>
    public void Disarm() => Set(default);

    /// <summary>Makes the descriptor unreadable after it expired.</summary>
    public void Clear()
    {
        ulong count;
        // SAFETY: eight bytes of this frame. A timer that has not expired answers "try again", which is what is wanted.
        _ = NativeMethods.Read(Descriptor, (byte*)&count, sizeof(ulong));
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;

    private void Set(TimerSetting setting)
    {
        // SAFETY: one structure, of the layout of struct itimerspec.
        if (NativeMethods.SetTimer(Descriptor, AbsoluteTime, &setting, null) != 0)
        {
            throw SystemCallException.FromLastError("timerfd_settime");
        }
    }
}
