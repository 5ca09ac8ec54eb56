using Lamina.Chipset.Pci;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Time;
using Lamina.Networking;
using Lamina.Personalities.HyperV;
using Lamina.Personalities.HyperV.Input;
using Lamina.Personalities.HyperV.Integration;
using Lamina.Personalities.HyperV.Memory;
using Lamina.Personalities.HyperV.Network;
using Lamina.Personalities.HyperV.Sockets;
using Lamina.Personalities.HyperV.Storage;
using Lamina.Personalities.HyperV.Video;
using Lamina.Personalities.HyperV.VmBus;
using Lamina.Personalities.VMware;
using Lamina.Personalities.VMware.Pvscsi;
using Lamina.Personalities.VMware.Vmci;
using Lamina.Personalities.Xen;
using Lamina.Personalities.Xen.Block;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Console;
using Lamina.Personalities.Xen.Network;
using Lamina.Personalities.Xen.Platform;
using Lamina.Personalities.Xen.Screen;
using Lamina.Storage;

namespace Lamina.Vmm.Devices;

/// <summary>The disks and network cards of a machine that are its personality's, rather than virtio devices.</summary>
internal sealed class ParavirtualCatalog : IDisposable
{
    /// <summary>The place of VMware's and Xen's devices, and of Hyper-V's screen, on the PCI bus; virtio devices take the places from the first on.</summary>
    internal const int Slot = 31;

    // Of VMware's device for sockets.
    private const int SocketSlot = 30;

    private readonly List<IDevice> _devices = [];
    private ParavirtualDisk[] _disks = [];
    private ParavirtualNetwork[] _networks = [];
    private readonly IMachineClock _clock;
    private readonly Action<IDisposable> _own;
    private readonly Action<string> _notice;
    private readonly MachineSettings _settings;

    /// <summary>Opens the disks.</summary>
    /// <exception cref="StorageException">A disk cannot be opened.</exception>
    internal ParavirtualCatalog(MachineSettings settings, IMachineClock clock, Action<IDisposable> own, Action<string> notice)
    {
        _clock = clock;
        _own = own;
        _notice = notice;
        _settings = settings;
        own(this);
        for (int i = 0; i < settings.Disks.Count; i++)
        {
            _disks = [.. _disks, new ParavirtualDisk(settings.Disks[i], settings.Disks[i].Number ?? i, clock, notice)];
        }
    }

    /// <summary>They.</summary>
    internal IReadOnlyList<IDevice> Devices => _devices;

    /// <summary>The places on the PCI bus that they have, a bit each.</summary>
    internal uint TakenSlots { get; private set; }

    /// <summary>Xen's control domain; null if the personality has none.</summary>
    internal XenBusController? ControlDomain { get; private set; }

    /// <summary>The personality's own console; null if it has none.</summary>
    internal ConsoleRing? Console { get; private set; }

    /// <summary>The services of Hyper-V's parent partition; null if the personality has none.</summary>
    internal IntegrationServices? Services { get; private set; }

    /// <summary>The personality's own memory balloon; null if it has none.</summary>
    internal MemoryBalloon? Balloon { get; private set; }

    /// <summary>The disks' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Disks => [.. AttachedDisks.Select(static d => new LimitedDevice(d.Name, d.Limited))];

    /// <summary>The disks. The list is replaced whole, on the control thread; any thread may read it.</summary>
    internal IReadOnlyList<ParavirtualDisk> AttachedDisks => Volatile.Read(ref _disks);

    /// <summary>The network cards. The list is replaced whole, on the control thread; any thread may read it.</summary>
    internal IReadOnlyList<ParavirtualNetwork> AttachedNetworks => Volatile.Read(ref _networks);

    /// <summary>Where network cards can come and go; null if they cannot.</summary>
    internal INetworkPlaces? NetworkPlaces { get; private set; }

    /// <summary>Where disks can come and go; null if they cannot.</summary>
    internal IDiskPlaces? Places { get; private set; }

    /// <summary>The settings with which the same machine would be made now.</summary>
    internal MachineSettings CurrentSettings => _settings with
    {
        Disks = [.. AttachedDisks.Select(static d => d.Settings)],
        Networks = [.. AttachedNetworks.Select(static n => n.Settings)],
    };

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Networks => [.. AttachedNetworks.Select(static n => new LimitedDevice(n.Name, n.Limited))];

    /// <summary>Makes the devices. Only Hyper-V's do without a PCI bus.</summary>
    /// <returns>The settings less what these devices serve.</returns>
    /// <exception cref="NetworkException">A network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There are too many.</exception>
    internal MachineSettings Add(MachineSettings settings, bool isPvh, IPersonality personality, GuestMemory memory, PciBus? bus, AddressSpace ports, AddressSpace mmio, IMessageInterruptSink messages, UserDevices user, DeviceCatalog devices)
    {
        if (personality is XenPersonality xen)
        {
            AddXen(settings, isPvh, xen, bus!, ports, mmio, user, devices);
            Balloon = new MemoryBalloon(ControlDomain!) { Target = settings.Balloon?.Target ?? 0 };
            return settings with { Disks = [], Networks = [], Console = null, Balloon = null };
        }

        if (personality is HyperVPersonality hypervisor)
        {
            AddVmBus(settings, hypervisor, memory, bus, user, devices);
            return settings with { Disks = [], Networks = [], Balloon = null, Sockets = GetVirtioSockets(settings) };
        }

        AddVMware(settings, memory, bus!, messages, devices);
        Balloon = new MemoryBalloon(((VMwarePersonality)personality).Balloon) { Target = settings.Balloon?.Target ?? 0 };
        return settings with { Disks = [], Networks = [], Balloon = null, Sockets = GetVirtioSockets(settings) };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IRemovable device in (IRemovable[])[.. _disks, .. _networks])
        {
            device.Dispose();
        }
    }

    /// <summary>Makes a disk that no guest sees yet, at the first free place. Any thread, one call at a time.</summary>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    /// <exception cref="MachineConfigurationException">There is no place.</exception>
    internal ParavirtualDisk CreateDisk(DiskSettings settings, IDiskPlaces places)
    {
        int number = 0;
        while (AttachedDisks.Any(d => d.Number == number))
        {
            number++;
        }

        return number < places.Count
            ? new ParavirtualDisk(settings, number, _clock, _notice)
            : throw new MachineConfigurationException($"The machine has places for {places.Count} disks, and all are taken.");
    }

    /// <summary>Shows the guest a disk. On the control thread.</summary>
    internal void Insert(ParavirtualDisk disk, IDiskPlaces places)
    {
        places.Insert(disk);
        Volatile.Write(ref _disks, [.. _disks, disk]);
    }

    /// <summary>Takes a disk away that the guest has given up, and closes it. On the control thread.</summary>
    internal void Remove(ParavirtualDisk disk, IDiskPlaces places)
    {
        places.Remove(disk.Number);
        Volatile.Write(ref _disks, [.. _disks.Where(d => d != disk)]);
        disk.Dispose();
    }

    /// <summary>Connects a network card that no guest sees yet, at the first free place. Any thread, one call at a time.</summary>
    /// <exception cref="NetworkException">The network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There is no place, or the settings contradict each other.</exception>
    internal ParavirtualNetwork CreateNetwork(NetworkSettings settings, int places, int maximumQueuePairs)
    {
        int number = settings.Number ?? 0;
        while (settings.Number == null && AttachedNetworks.Any(n => n.Number == number))
        {
            number++;
        }

        if (number < 0 || number >= places || AttachedNetworks.Any(n => n.Number == number))
        {
            throw new MachineConfigurationException($"The machine has places for {places} network cards, and there is none for 'net{number}'.");
        }

        if (settings.QueuePairs > maximumQueuePairs)
        {
            throw new MachineConfigurationException("Only virtio's and Xen's network cards can have several pairs of queues, and this machine's are another hypervisor's.");
        }

        return new ParavirtualNetwork(settings, number, settings.HardwareAddress is { } given ? [.. given] : HardwareAddress.Create(_settings.Name, number), _clock, _notice);
    }

    /// <summary>Shows the guest a network card. On the control thread.</summary>
    internal void Insert(ParavirtualNetwork network, INetworkPlaces places)
    {
        places.Insert(network);
        Volatile.Write(ref _networks, [.. _networks, network]);
    }

    /// <summary>Takes a network card away that the guest has given up, and disconnects it. On the control thread.</summary>
    internal void Remove(ParavirtualNetwork network, INetworkPlaces places)
    {
        places.Remove(network);
        Volatile.Write(ref _networks, [.. _networks.Where(n => n != network)]);
        network.Dispose();
    }

    // One of the start.
    private ParavirtualNetwork Connect(NetworkSettings settings, int places, int maximumQueuePairs)
    {
        ParavirtualNetwork network = CreateNetwork(settings, places, maximumQueuePairs);
        _networks = [.. _networks, network];
        return network;
    }

    private void AddXen(MachineSettings settings, bool isPvh, XenPersonality hypervisor, PciBus bus, AddressSpace ports, AddressSpace mmio, UserDevices user, DeviceCatalog devices)
    {
        if (settings.Disks.Count > BlockBackEnd.MaximumDisks || settings.Networks.Count > NetworkBackEnd.MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with Xen's devices has places for {BlockBackEnd.MaximumDisks} disks and {NetworkBackEnd.MaximumNetworks} network cards.");
        }

        TakenSlots = 1u << Slot;
        PlatformDevice platform = new(hypervisor, new MonitorLock());
        platform.Map(ports, mmio);
        if (!isPvh)
        {
            // A domain that is entered by PVH has no such device, and its grant frames elsewhere.
            bus.Attach(Slot, 0, platform.Function);
        }

        _devices.Add(platform);
        ControlDomain = new XenBusController(hypervisor, new MonitorLock(), settings.Name);
        _devices.Add(ControlDomain);
        XenDiskPlaces places = new(ControlDomain);
        Places = places;
        foreach (ParavirtualDisk disk in _disks)
        {
            Check(disk, places);
            places.Add(disk);
        }

        XenNetworkPlaces networks = new(ControlDomain, devices);
        NetworkPlaces = networks;
        foreach (NetworkSettings network in settings.Networks)
        {
            networks.Add(Connect(network, networks.Count, networks.MaximumQueuePairs));
        }

        if (settings.Console is { } console)
        {
            ControlDomain.Console = Console = new ConsoleRing(hypervisor, new MonitorLock(), console);
        }

        if (settings.Screen is { } screen)
        {
            KeyboardBackEnd keyboard = new(ControlDomain, new MonitorLock(), screen.Width, screen.Height);
            user.Add(keyboard);
            user.Add(new FrameBufferBackEnd(ControlDomain, new MonitorLock(), new MonitorLock(), screen.Width, screen.Height).Display, keyboard);
        }

        _devices.AddRange(ControlDomain.CreateDeviceStates());
    }

    private void AddVmBus(MachineSettings settings, HyperVPersonality hypervisor, GuestMemory memory, PciBus? pci, UserDevices user, DeviceCatalog devices)
    {
        if (settings.Disks.Count > StorageProvider.MaximumDisks || settings.Networks.Count > NetworkProvider.MaximumNetworks)
        {
            throw new MachineConfigurationException($"A machine with Hyper-V's devices has places for {StorageProvider.MaximumDisks} disks and {NetworkProvider.MaximumNetworks} network cards.");
        }

        VmBusController bus = new("vmbus0", new MonitorLock(), memory, hypervisor);
        _devices.Add(bus);
        StorageProvider storage = new(bus, memory, []);
        Places = new StorageDiskPlaces(storage);
        foreach (ParavirtualDisk disk in _disks)
        {
            storage.TryAdd(Check(disk, Places), disk.Limited, disk.Serial);
        }

        VmBusNetworkPlaces networks = new(bus, memory, devices);
        NetworkPlaces = networks;
        foreach (NetworkSettings card in settings.Networks)
        {
            networks.Add(Connect(card, networks.Count, networks.MaximumQueuePairs));
        }

        Services = new IntegrationServices(bus);
        ulong later = settings.MemorySize - (settings.StartMemorySize ?? settings.MemorySize);
        DynamicMemoryService dynamicMemory = new(bus, memory, new HostReclaimer(), later == 0 ? null : memory.Regions[^1]);
        Balloon = new MemoryBalloon(dynamicMemory, () => hypervisor.ReportedBytes) { Target = settings.Balloon?.Target ?? later };
        if (settings.Balloon is { ReportsFreePages: true })
        {
            hypervisor.TakeFreePages(new HostReclaimer());
        }

        if (pci == null || settings.Screen != null)
        {
            // Without PCI there is no PC's keyboard.
            user.Add(new SyntheticKeyboard(bus));
        }

        if (settings.Screen is { } screen)
        {
            SyntheticPointer pointer = new(bus);
            SyntheticVideo video = new(bus, new MonitorLock(), new MonitorLock(), memory, screen.Width, screen.Height);
            if (pci != null)
            {
                TakenSlots = 1u << Slot;
                pci.Attach(Slot, 0, video.Function);
            }

            user.Add(video.Display, pointer);
        }

        _devices.AddRange(bus.CreateDeviceStates());
        if (settings.Sockets is { AreVirtio: false } sockets)
        {
            _devices.Add(new SocketProvider("hvsocket0", bus, memory, VirtioCatalog.Open(sockets, _own)));
        }
    }

    private uint GetSlotBit(int slot, string device) => slot is >= 1 and < Slot && (TakenSlots & (1u << slot)) == 0
        ? 1u << slot
        : throw new MachineConfigurationException($"The PCI slot {slot} of '{device}' is taken, or there is none.");

    // Machines that were saved before there was another way.
    private static SocketSettings? GetVirtioSockets(MachineSettings settings) => settings.Sockets is { AreVirtio: true } sockets ? sockets : null;

    private int Check(ParavirtualDisk disk, IDiskPlaces places)
    {
        return disk.Number >= 0 && disk.Number < places.Count && _disks.Count(d => d.Number == disk.Number) == 1
            ? disk.Number
            : throw new MachineConfigurationException($"There is no place, or another disk, where '{disk.Name}' is to be; the machine has {places.Count} places.");
    }

    // A SCSI adapter with all disks, and cards, each in a slot before it.
    private void AddVMware(MachineSettings settings, GuestMemory memory, PciBus bus, IMessageInterruptSink messages, DeviceCatalog devices)
    {
        VmxnetPlaces networks = new(devices, bus, memory, messages, Slot);
        NetworkPlaces = networks;
        if (settings.Disks.Count > PvscsiController.MaximumTargets || settings.Networks.Count > networks.Count)
        {
            throw new MachineConfigurationException($"A machine with VMware's devices has places for {PvscsiController.MaximumTargets} disks and {networks.Count} network cards.");
        }

        PvscsiController controller = new("pvscsi0", new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages);
        TakenSlots = 1u << Slot;
        bus.Attach(Slot, 0, controller.Function);
        _devices.Add(controller);
        Places = new PvscsiDiskPlaces(controller);
        foreach (ParavirtualDisk disk in _disks)
        {
            controller.TryInsert(Check(disk, Places), disk.Limited, disk.Serial);
        }

        TakenSlots |= 1u << SocketSlot;
        foreach (NetworkSettings card in settings.Networks)
        {
            ParavirtualNetwork network = Connect(card, networks.Count, networks.MaximumQueuePairs);

            // In machines that were saved before cards could go, they are functions of the adapter's slot.
            network.Slot = card.Slot ?? (settings.Snapshot != null ? null : 31 - int.LeadingZeroCount((int)~TakenSlots));
            TakenSlots |= network.Slot is { } slot ? GetSlotBit(slot, network.Name) : 0;
            _devices.Add(networks.Add(network));
        }

        if (settings.Sockets is { AreVirtio: false } sockets)
        {
            // A guest's address has 32 bits.
            VmciDevice device = new("vmci0", new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, _clock, messages, VirtioCatalog.Open(sockets, _own), (uint)sockets.Address);
            bus.Attach(SocketSlot, 0, device.Function);
            _devices.Add(device);
        }
    }
}
