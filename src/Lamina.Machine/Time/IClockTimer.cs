namespace Lamina.Machine.Time;

/// <summary>A one-shot timer on the machine clock. Any thread; cheap (arming may happen at every guest timer write).</summary>
public interface IClockTimer
{
    /// <summary>Fires once at <paramref name="deadline"/> (nanoseconds on the machine clock), replacing an earlier deadline. A past one fires at once.</summary>
    void Arm(ulong deadline);

    /// <summary>Disarms. A call that has already begun may still arrive: the target compares with its own deadline.</summary>
    void Cancel();
}
