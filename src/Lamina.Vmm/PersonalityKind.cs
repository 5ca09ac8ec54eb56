namespace Lamina.Vmm;

/// <summary>The hypervisor that a guest sees.</summary>
public enum PersonalityKind
{
    /// <summary>KVM, with virtio devices.</summary>
    Kvm,

    /// <summary>VMware, with disks on a paravirtual SCSI adapter and vmxnet3 network cards.</summary>
    VMware,

    /// <summary>Hyper-V, with disks on VMBus.</summary>
    HyperV,

    /// <summary>Xen, with disks, network cards and a console behind its control domain's back ends.</summary>
    Xen,
}
