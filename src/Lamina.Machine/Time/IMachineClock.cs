namespace Lamina.Machine.Time;

/// <summary>The machine's time. It starts at zero with the machine and stands still while the machine is paused.</summary>
public interface IMachineClock
{
    /// <summary>Nanoseconds of running time. Monotonic; any thread.</summary>
    ulong Now { get; }

    /// <summary>Nanoseconds since 1970-01-01T00:00:00Z, for the real-time clock.</summary>
    ulong UnixTime { get; }

    /// <summary>Makes a timer. At construction of a device only.</summary>
    IClockTimer CreateTimer(ITimerTarget target);
}
