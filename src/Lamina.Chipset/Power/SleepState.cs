namespace Lamina.Chipset.Power;

/// <summary>Where a machine is between running and sleeping in S3 (ACPI 6.5, section 16.1). The values are those of saved states.</summary>
public enum SleepState
{
    /// <summary>It runs (S0).</summary>
    Working = 0,

    /// <summary>The guest has asked for S3: nothing has power but RAM, the real-time clock and the power button.</summary>
    Suspended = 1,

    /// <summary>An event has ended S3: processor 0 is to be entered where the guest has said.</summary>
    Waking = 2,
}
