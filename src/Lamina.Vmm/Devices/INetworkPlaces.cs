namespace Lamina.Vmm.Devices;

/// <summary>Where a personality's machine has its network cards, by number, and how they come and go.</summary>
internal interface INetworkPlaces
{
    /// <summary>How many places there are.</summary>
    int Count { get; }

    /// <summary>Most pairs of queues of a card.</summary>
    int MaximumQueuePairs { get; }

    /// <summary>Shows the guest a card. On the control thread.</summary>
    /// <exception cref="MachineConfigurationException">There is no place for it.</exception>
    void Insert(ParavirtualNetwork network);

    /// <summary>Asks the guest to give a card up.</summary>
    /// <returns><c>false</c> if the guest cannot be asked.</returns>
    bool RequestRemoval(ParavirtualNetwork network);

    /// <summary>Whether it was asked in the machine that was saved, and will not forget that.</summary>
    bool IsLeaving(ParavirtualNetwork network);

    /// <summary>Whether it has.</summary>
    bool IsGivenUp(ParavirtualNetwork network);

    /// <summary>Takes a card away that was given up. On the control thread.</summary>
    void Remove(ParavirtualNetwork network);
}
