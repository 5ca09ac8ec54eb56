using Lamina.Personalities.Xen.Block;
using Lamina.Personalities.Xen.Bus;

namespace Lamina.Vmm.Devices;

/// <summary>Disks behind Xen's control domain: they come and go by their directories in the store.</summary>
internal sealed class XenDiskPlaces(XenBusController bus) : IDiskPlaces
{
    private readonly BlockBackEnd?[] _disks = new BlockBackEnd?[BlockBackEnd.MaximumDisks];

    /// <inheritdoc/>
    public int Count => BlockBackEnd.MaximumDisks;

    /// <summary>Adds a disk before the machine starts.</summary>
    public void Add(ParavirtualDisk disk) => _disks[disk.Number] = new BlockBackEnd(bus, new MonitorLock(), disk.Number, disk.Limited, disk.Settings.HasPersistentGrants);

    /// <inheritdoc/>
    public void Insert(ParavirtualDisk disk)
    {
        Add(disk);
        bus.Insert(_disks[disk.Number]!);
    }

    /// <inheritdoc/>
    public bool RequestRemoval(int number)
    {
        XenBusController.RequestRemoval(_disks[number]!);
        return true;
    }

    /// <inheritdoc/>
    public bool IsLeaving(int number) => XenBusController.IsLeaving(_disks[number]!);

    /// <inheritdoc/>
    public bool IsGivenUp(int number) => XenBusController.IsGivenUp(_disks[number]!);

    /// <inheritdoc/>
    public void Remove(int number)
    {
        bus.Remove(_disks[number]!);
        _disks[number] = null;
    }

    /// <inheritdoc/>
    public void Resize(int number, Action resize)
    {
        bus.Stop();
        resize();
        _disks[number]!.Resize();
        bus.Start();
    }
}
