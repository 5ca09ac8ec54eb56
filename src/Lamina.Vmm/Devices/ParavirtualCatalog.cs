using System.Globalization;
using System.Text;
using Lamina.Chipset.Pci;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Limits;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Time;
using Lamina.Networking;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.Integration;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.HyperV.Storage;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.VMware.Pvscsi;
using Lamina.Personalities.VMware.Vmxnet3;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Block;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Console;
using Lamina.Personalities.Xen.Network;
using Lamina.Personalities.Xen.Platform;
using Lamina.Storage;

namespace Lamina.Vmm.Devices;

/// <summary>The disks and network cards of a machine that are its personality's, rather than virtio devices.</summary>
internal sealed class ParavirtualCatalog
{
    /// <summary>The place of VMware's and Xen's devices on the PCI bus; virtio devices take the places from the first on.</summary>
    internal const int Slot = 31;

    private const int MaximumNetworks = 7;
    private readonly List<IDevice> _devices = [];
    private readonly List<LimitedDisk> _disks = [];
    private readonly List<LimitedNetwork> _networks = [];
    private readonly IMachineClock _clock;
    private readonly Action<IDisposable> _own;

    /// <summary>Opens the disks.</summary>
    /// <exception cref="StorageException">A disk cannot be opened.</exception>
    internal ParavirtualCatalog(MachineSettings settings, IMachineClock clock, Action<IDisposable> own, Action<string> notice)
    {
        _clock = clock;
        _own = own;
        foreach (DiskSettings disk in settings.Disks)
        {
            DiskBackend backend = new(DiskImages.Open(disk.Path, disk.Format, !disk.IsReadOnly, disk.IsDirect), disk.OnNoSpace, notice);
            own(backend);
            _disks.Add(new LimitedDisk(backend, clock, new MonitorLock(), disk.Limits));
        }
    }

    /// <summary>They.</summary>
    internal IReadOnlyList<IDevice> Devices => _devices;

    /// <summary>Xen's control domain; null if the personality has none.</summary>
    internal XenBusController? ControlDomain { get; private set; }

    /// <summary>The personality's own console; null if it has none.</summary>
    internal ConsoleRing? Console { get; private set; }

    /// <summary>The services of Hyper-V's parent partition; null if the personality has none.</summary>
    internal IntegrationServices? Services { get; private set; }

    /// <summary>The disks' limits.</summary>
    internal IReadOnlyList<LimitedDisk> Disks => _disks;

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedNetwork> Networks => _networks;

    /// <summary>Makes the devices.</summary>
    /// <returns>The settings less what these devices serve.</returns>
    /// <exception cref="NetworkException">A network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There are too many.</exception>
    internal MachineSettings Add(MachineSettings settings, IPersonality personality, GuestMemory memory, PciBus bus, AddressSpace ports, IMessageInterruptSink messages)
    {
        if (personality is XenPersonality xen)
        {
            AddXen(settings, xen, bus, ports);
            return settings with { Disks = [], Networks = [], Console = null };
        }

        if (personality is HyperVPersonality hypervisor)
        {
            AddVmBus(settings, hypervisor, memory);
            return settings with { Disks = [], Networks = [] };
        }

        AddVMware(settings, memory, bus, messages);
        return settings with { Disks = [], Networks = [] };
    }

    private static byte[] GetSerial(MachineSettings settings, int disk)
    {
        return Encoding.ASCII.GetBytes(settings.Disks[disk].Serial ?? string.Create(CultureInfo.InvariantCulture, $"disk{disk}"));
    }

    private void AddXen(MachineSettings settings, XenPersonality hypervisor, PciBus bus, AddressSpace ports)
    {
        if (settings.Disks.Count > BlockBackEnd.MaximumDisks || settings.Networks.Count > NetworkBackEnd.MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with Xen's devices has places for {BlockBackEnd.MaximumDisks} disks and {NetworkBackEnd.MaximumNetworks} network cards.");
        }

        PlatformDevice platform = new(hypervisor, new MonitorLock());
        platform.Map(ports);
        bus.Attach(Slot, 0, platform.Function);
        _devices.Add(platform);
        ControlDomain = new XenBusController(hypervisor, new MonitorLock(), settings.Name);
        _devices.Add(ControlDomain);
        for (int i = 0; i < _disks.Count; i++)
        {
            _ = new BlockBackEnd(ControlDomain, new MonitorLock(), i, _disks[i]);
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            _ = new NetworkBackEnd(ControlDomain, new MonitorLock(), i, Open(settings, i).Lines[0], HardwareAddress.Create(settings.Name, i));
        }

        if (settings.Console is { } console)
        {
            ControlDomain.Console = Console = new ConsoleRing(hypervisor, new MonitorLock(), console);
        }
    }

    private void AddVmBus(MachineSettings settings, HyperVPersonality hypervisor, GuestMemory memory)
    {
        if (settings.Disks.Count > StorageProvider.MaximumDisks || settings.Networks.Count > NetworkProvider.MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with Hyper-V's devices has places for {StorageProvider.MaximumDisks} disks and {NetworkProvider.MaximumNetworks} network cards.");
        }

        VmBusController bus = new("vmbus0", new MonitorLock(), memory, hypervisor);
        _devices.Add(bus);
        if (_disks.Count > 0)
        {
            _ = new StorageProvider(bus, memory, [.. _disks.Select((d, i) => ((IBlockBackend)d, (ReadOnlyMemory<byte>)GetSerial(settings, i)))]);
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            _ = new NetworkProvider(bus, memory, i, Open(settings, i).Lines[0], HardwareAddress.Create(settings.Name, i));
        }

        Services = new IntegrationServices(bus);
    }

    private LimitedNetwork Open(MachineSettings settings, int index)
    {
        if (settings.Networks[index].QueuePairs != 1)
        {
            throw new MachineConfigurationException("Only a virtio network card can have several pairs of queues, and this machine's are another hypervisor's.");
        }

        WireNetwork network = VirtioCatalog.Open(settings.Networks[index])[0];
        _own(network);
        LimitedNetwork limited = new([network], _clock, new MonitorLock(), settings.Networks[index].Limits);
        _networks.Add(limited);
        return limited;
    }

    // A SCSI adapter with all disks, and cards behind it, as the functions of one PCI device.
    private void AddVMware(MachineSettings settings, GuestMemory memory, PciBus bus, IMessageInterruptSink messages)
    {
        if (settings.Disks.Count > PvscsiController.MaximumTargets || settings.Networks.Count > MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with VMware's devices has places for {PvscsiController.MaximumTargets} disks and {MaximumNetworks} network cards.");
        }

        PvscsiController controller = new("pvscsi0", new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages);
        bus.Attach(Slot, 0, controller.Function);
        _devices.Add(controller);
        for (int i = 0; i < _disks.Count; i++)
        {
            controller.TryAddDisk(_disks[i], GetSerial(settings, i));
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            LimitedNetwork limited = Open(settings, i);
            string name = string.Create(CultureInfo.InvariantCulture, $"vmxnet{i}");
            Vmxnet3Device card = new(name, new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages, limited.Lines[0], HardwareAddress.Create(settings.Name, i));
            bus.Attach(Slot, i + 1, card.Function);
            _devices.Add(card);
        }
    }
}
