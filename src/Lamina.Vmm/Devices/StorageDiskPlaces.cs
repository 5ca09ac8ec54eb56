using Lamina.Personalities.HyperV.Storage;

namespace Lamina.Vmm.Devices;

/// <summary>Disks on Hyper-V's adapter, each a unit of its only target: its driver is told to look again.</summary>
internal sealed class StorageDiskPlaces(StorageProvider adapter) : IDiskPlaces
{
    /// <inheritdoc/>
    public int Count => StorageProvider.MaximumDisks;

    /// <inheritdoc/>
    public void Insert(ParavirtualDisk disk) => adapter.TryInsert(disk.Number, disk.Limited, disk.Serial);

    /// <inheritdoc/>
    public bool RequestRemoval(int number)
    {
        adapter.RequestRemoval(number);
        return true;
    }

    /// <inheritdoc/>
    public bool IsLeaving(int number) => false;

    /// <inheritdoc/>
    public bool IsGivenUp(int number) => adapter.IsGivenUp(number);

    /// <inheritdoc/>
    public void Remove(int number) => adapter.Remove(number);

    /// <inheritdoc/>
    public void Resize(int number, Action resize) => adapter.Resize(number, resize);
}
