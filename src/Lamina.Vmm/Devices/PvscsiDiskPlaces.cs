using Lamina.Personalities.VMware.Pvscsi;

namespace Lamina.Vmm.Devices;

/// <summary>Disks on VMware's adapter, each the only unit of its target: they come and go by messages to its driver.</summary>
internal sealed class PvscsiDiskPlaces(PvscsiController controller) : IDiskPlaces
{
    /// <inheritdoc/>
    public int Count => PvscsiController.MaximumTargets;

    /// <inheritdoc/>
    public void Insert(ParavirtualDisk disk) => controller.TryInsert(disk.Number, disk.Limited, disk.Serial);

    /// <inheritdoc/>
    public bool RequestRemoval(int number) => controller.RequestRemoval(number);

    /// <inheritdoc/>
    public bool IsLeaving(int number) => false;

    /// <inheritdoc/>
    public bool IsGivenUp(int number) => controller.IsGivenUp(number);

    /// <inheritdoc/>
    public void Remove(int number) => controller.Remove(number);

    /// <inheritdoc/>
    public void Resize(int number, Action resize) => controller.Resize(number, resize);
}
