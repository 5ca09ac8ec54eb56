namespace Lamina.Interop.Kvm;

/// <summary>KVM_IRQCHIP_*: the controllers beside the local APICs.</summary>
public enum KvmChip
{
    /// <summary>The first 8259.</summary>
    PrimaryPic = 0,

    /// <summary>The second.</summary>
    SecondaryPic = 1,

    /// <summary>The I/O APIC.</summary>
    IoApic = 2,
}
