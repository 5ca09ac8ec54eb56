namespace Lamina.Vmm.Devices;

/// <summary>Where a personality's machine has its disks, by number, and how they come and go.</summary>
internal interface IDiskPlaces
{
    /// <summary>How many places there are.</summary>
    int Count { get; }

    /// <summary>Shows the guest a disk. On the control thread.</summary>
    void Insert(ParavirtualDisk disk);

    /// <summary>Asks the guest to give a disk up.</summary>
    /// <returns><c>false</c> if the guest cannot be asked.</returns>
    bool RequestRemoval(int number);

    /// <summary>Whether it was asked in the machine that was saved, and will not forget that.</summary>
    bool IsLeaving(int number);

    /// <summary>Whether it has.</summary>
    bool IsGivenUp(int number);

    /// <summary>Takes a disk away that was given up. On the control thread.</summary>
    void Remove(int number);

    /// <summary>Changes a disk's size while nothing is under way, and tells the guest. On the control thread.</summary>
    void Resize(int number, Action resize);
}
