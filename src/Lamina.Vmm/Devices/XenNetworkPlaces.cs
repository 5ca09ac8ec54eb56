using System.Globalization;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Network;

namespace Lamina.Vmm.Devices;

/// <summary>Network cards behind Xen's control domain: they come and go by their directories in the store. Each has a record of its own in the machine's state.</summary>
internal sealed class XenNetworkPlaces(XenBusController bus, DeviceCatalog devices) : INetworkPlaces
{
    private readonly NetworkBackEnd?[] _cards = new NetworkBackEnd?[NetworkBackEnd.MaximumNetworks];

    /// <inheritdoc/>
    public int Count => NetworkBackEnd.MaximumNetworks;

    /// <inheritdoc/>
    public int MaximumQueuePairs => NetworkBackEnd.MaximumQueues;

    /// <summary>Adds a card before the machine starts.</summary>
    public void Add(ParavirtualNetwork network) =>
        _cards[network.Number] = new NetworkBackEnd(bus, new MonitorLock(), network.Number, network.Limited.Lines, network.HardwareAddress);

    /// <inheritdoc/>
    public void Insert(ParavirtualNetwork network)
    {
        Add(network);
        devices.Add(bus.CreateDeviceState(_cards[network.Number]!));
        bus.Insert(_cards[network.Number]!);
    }

    /// <inheritdoc/>
    public bool RequestRemoval(ParavirtualNetwork network)
    {
        XenBusController.RequestRemoval(_cards[network.Number]!);
        return true;
    }

    /// <inheritdoc/>
    public bool IsLeaving(ParavirtualNetwork network) => XenBusController.IsLeaving(_cards[network.Number]!);

    /// <inheritdoc/>
    public bool IsGivenUp(ParavirtualNetwork network) => XenBusController.IsGivenUp(_cards[network.Number]!);

    /// <inheritdoc/>
    public void Remove(ParavirtualNetwork network)
    {
        bus.Remove(_cards[network.Number]!);
        devices.Remove(string.Create(CultureInfo.InvariantCulture, $"netback{network.Number}"));
        _cards[network.Number] = null;
    }
}
