using System.Globalization;
using System.Text;
using Lamina.Chipset.Pci;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Limits;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;
using Lamina.Networking;
using Lamina.Personalities.VMware.Pvscsi;
using Lamina.Personalities.VMware.Vmxnet3;
using Lamina.Storage;

namespace Lamina.Vmm.Devices;

/// <summary>The disks and network cards of a machine that shows VMware: a SCSI adapter with all disks, and cards behind it, as the functions of one PCI device.</summary>
internal sealed class ParavirtualCatalog
{
    /// <summary>Its place on the PCI bus; virtio devices take the places from the first on.</summary>
    internal const int Slot = 31;

    private const int MaximumNetworks = 7;
    private readonly List<IDevice> _devices = [];
    private readonly List<LimitedDisk> _disks = [];
    private readonly List<LimitedNetwork> _networks = [];

    /// <summary>Makes them all.</summary>
    /// <exception cref="StorageException">A disk cannot be opened.</exception>
    /// <exception cref="NetworkException">A network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There are too many.</exception>
    internal ParavirtualCatalog(MachineSettings settings, GuestMemory memory, IMachineClock clock, PciBus bus, IMessageInterruptSink messages, Action<IDisposable> own, Action<string> notice)
    {
        if (settings.Disks.Count > PvscsiController.MaximumTargets || settings.Networks.Count > MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with VMware's devices has places for {PvscsiController.MaximumTargets} disks and {MaximumNetworks} network cards.");
        }

        PvscsiController controller = new("pvscsi0", new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages);
        bus.Attach(Slot, 0, controller.Function);
        _devices.Add(controller);
        for (int i = 0; i < settings.Disks.Count; i++)
        {
            DiskSettings disk = settings.Disks[i];
            DiskBackend backend = new(DiskImages.Open(disk.Path, disk.Format, !disk.IsReadOnly, disk.IsDirect), disk.OnNoSpace, notice);
            own(backend);
            LimitedDisk limited = new(backend, clock, new MonitorLock(), disk.Limits);
            _disks.Add(limited);
            string serial = disk.Serial ?? string.Create(CultureInfo.InvariantCulture, $"disk{i}");
            controller.TryAddDisk(limited, Encoding.ASCII.GetBytes(serial));
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            WireNetwork network = VirtioCatalog.Open(settings.Networks[i]);
            own(network);
            LimitedNetwork limited = new(network, clock, new MonitorLock(), settings.Networks[i].Limits);
            _networks.Add(limited);
            string name = string.Create(CultureInfo.InvariantCulture, $"vmxnet{i}");
            Vmxnet3Device card = new(name, new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages, limited, HardwareAddress.Create(settings.Name, i));
            bus.Attach(Slot, i + 1, card.Function);
            _devices.Add(card);
        }
    }

    /// <summary>They.</summary>
    internal IReadOnlyList<IDevice> Devices => _devices;

    /// <summary>The disks' limits.</summary>
    internal IReadOnlyList<LimitedDisk> Disks => _disks;

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedNetwork> Networks => _networks;
}
