namespace Lamina.Machine.Time;

/// <summary>The machine's time. It starts at zero with the machine and stands still while the machine is paused.</summary>
public interface IMachineClock
{
    /// <summary>Nanoseconds of running time. Monotonic; any thread.</summary>
    ulong Now { get; }

    /// <summary>
    /// What <see cref="Now"/> is behind the host's monotonic clock (CLOCK_MONOTONIC), in nanoseconds modulo 2^64; <c>null</c> if it is not that clock, or stands still. What a virtual processor is told when it begins to run holds until it
    /// ends: the clock goes on, and is not set, meanwhile.
    /// </summary>
    ulong? HostOffset => null;

    /// <summary>Nanoseconds since 1970-01-01T00:00:00Z, for the real-time clock.</summary>
    ulong UnixTime { get; }

    /// <summary>Makes a timer. At construction of a device only.</summary>
    IClockTimer CreateTimer(ITimerTarget target);
}
