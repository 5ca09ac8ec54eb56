namespace Lamina.Chipset.Pci;

/// <summary>Told of what the guest does with slots of the PCI bus.</summary>
public interface IHotPlugEvents
{
    /// <summary>The function in a slot is off the bus: the guest has ejected it. On a processor's thread or the control thread; may not wait.</summary>
    void Ejected(int slot);
}
