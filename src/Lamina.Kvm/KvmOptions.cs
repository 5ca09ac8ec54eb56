namespace Lamina.Kvm;

/// <summary>How KVM is used.</summary>
public sealed record KvmOptions
{
    /// <summary>Which interrupt controllers are KVM's.</summary>
    public KvmControllers Controllers { get; init; } = KvmControllers.Auto;
}
