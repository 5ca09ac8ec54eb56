using System.Globalization;
using Lamina.Chipset.Pci;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Personalities.VMware.Vmxnet3;

namespace Lamina.Vmm.Devices;

/// <summary>
/// VMware's network cards: each in a slot of its own on the PCI bus, from the far end on, where ACPI lets it come and go; the guest ejects what it gives up. Cards of machines that were saved before are functions of
/// the adapter's slot, and stay.
/// </summary>
internal sealed class VmxnetPlaces(DeviceCatalog devices, PciBus bus, GuestMemory memory, IMessageInterruptSink messages, int adapterSlot) : INetworkPlaces
{
    private const int MaximumCards = 7;
    private readonly Vmxnet3Device?[] _cards = new Vmxnet3Device?[MaximumCards];

    /// <inheritdoc/>
    public int Count => MaximumCards;

    /// <inheritdoc/>
    public int MaximumQueuePairs => 1;

    /// <summary>Adds a card before the machine starts.</summary>
    /// <param name="network">The card; in its slot, or beside the adapter if it has none.</param>
    /// <returns>The device.</returns>
    public Vmxnet3Device Add(ParavirtualNetwork network)
    {
        Vmxnet3Device card = Create(network);
        bus.Attach(network.Slot ?? adapterSlot, network.Slot == null ? network.Number + 1 : 0, card.Function);
        return card;
    }

    /// <inheritdoc/>
    public void Insert(ParavirtualNetwork network)
    {
        if (!devices.Virtio.CanChange)
        {
            throw new MachineConfigurationException("Network cards can come and go by ACPI alone, which this machine's memory-mapped devices leave out.");
        }

        network.Slot = devices.Virtio.TakeLastSlot(network.Name);
        Vmxnet3Device card = Create(network);
        devices.Add(card);
        card.Start();
        devices.HotPlug!.Insert(network.Slot.Value, card.Function);
    }

    /// <inheritdoc/>
    public bool RequestRemoval(ParavirtualNetwork network)
    {
        bool possible = network.Slot != null && devices.Virtio.CanChange;
        if (possible)
        {
            devices.HotPlug!.RequestRemoval(network.Slot!.Value);
        }

        return possible;
    }

    /// <inheritdoc/>
    public bool IsLeaving(ParavirtualNetwork network) => false;

    /// <summary>The guest's ejection takes it away.</summary>
    public bool IsGivenUp(ParavirtualNetwork network) => false;

    /// <inheritdoc/>
    public void Remove(ParavirtualNetwork network)
    {
        Vmxnet3Device card = _cards[network.Number]!;
        card.Stop();
        devices.Remove(card);
        devices.Virtio.FreeSlot(network.Slot!.Value);
        _cards[network.Number] = null;
    }

    private Vmxnet3Device Create(ParavirtualNetwork network)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"vmxnet{network.Number}");
        return _cards[network.Number] = new Vmxnet3Device(
            name, new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages, network.Limited.Lines[0], network.HardwareAddress);
    }
}
