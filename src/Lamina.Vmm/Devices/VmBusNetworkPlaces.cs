using System.Globalization;
using Lamina.Machine.Memory;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Vmm.Devices;

/// <summary>Network cards on Hyper-V's bus: they come by an offer, and go when the guest has released the channels that are withdrawn. Each has a record of its own in the machine's state.</summary>
internal sealed class VmBusNetworkPlaces(VmBusController bus, GuestMemory memory, DeviceCatalog devices) : INetworkPlaces
{
    private readonly NetworkProvider?[] _cards = new NetworkProvider?[NetworkProvider.MaximumNetworks];

    /// <inheritdoc/>
    public int Count => NetworkProvider.MaximumNetworks;

    /// <inheritdoc/>
    public int MaximumQueuePairs => 1;

    /// <summary>Adds a card before the machine starts.</summary>
    /// <exception cref="MachineConfigurationException">There is no place for it.</exception>
    public void Add(ParavirtualNetwork network)
    {
        NetworkProvider card = new(bus, memory, network.Number, network.Limited.Lines[0], network.HardwareAddress);
        _cards[network.Number] = card.IsOnBus
            ? card
            : throw new MachineConfigurationException(string.Create(CultureInfo.InvariantCulture, $"There is no place on VMBus for '{network.Name}' and its channels."));
    }

    /// <inheritdoc/>
    public void Insert(ParavirtualNetwork network)
    {
        Add(network);
        devices.Add(_cards[network.Number]!.CreateState());
    }

    /// <inheritdoc/>
    public bool RequestRemoval(ParavirtualNetwork network)
    {
        _cards[network.Number]!.RequestRemoval();
        return true;
    }

    /// <inheritdoc/>
    public bool IsLeaving(ParavirtualNetwork network) => _cards[network.Number]!.IsLeaving;

    /// <inheritdoc/>
    public bool IsGivenUp(ParavirtualNetwork network) => _cards[network.Number]!.IsGivenUp;

    /// <inheritdoc/>
    public void Remove(ParavirtualNetwork network)
    {
        _cards[network.Number]!.Remove();
        devices.Remove(string.Create(CultureInfo.InvariantCulture, $"netvsc{network.Number}"));
        _cards[network.Number] = null;
    }
}
