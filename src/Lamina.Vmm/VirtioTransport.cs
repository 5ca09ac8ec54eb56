namespace Lamina.Vmm;

/// <summary>How a guest finds its virtio devices.</summary>
public enum VirtioTransport
{
    /// <summary>On its PCI bus: each with interrupts of its own.</summary>
    Pci,

    /// <summary>In memory, told of by ACPI: for systems without a PCI driver. They share interrupts.</summary>
    Mmio,
}
