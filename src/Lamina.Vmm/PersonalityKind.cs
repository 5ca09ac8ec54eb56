namespace Lamina.Vmm;

/// <summary>The hypervisor that a guest sees.</summary>
public enum PersonalityKind
{
    /// <summary>KVM, with virtio devices.</summary>
    Kvm,
}
