namespace Lamina.Kvm;

/// <summary>How KVM is used.</summary>
public sealed record KvmOptions
{
    /// <summary>Which interrupt controllers are KVM's.</summary>
    public KvmControllers Controllers { get; init; } = KvmControllers.Auto;

    /// <summary>
    /// Offer guests KVM's paravirtual clock, where KVM has the local APICs. Then the machine cannot go on under another accelerator; without it guests keep time by the time-stamp counter.
    /// </summary>
    public bool Clock { get; init; }

    /// <summary>Log the pages that processors write in a ring for each, where KVM offers that, and not in bitmaps: a log costs what was written, not what could have been.</summary>
    public bool DirtyRings { get; init; }
}
