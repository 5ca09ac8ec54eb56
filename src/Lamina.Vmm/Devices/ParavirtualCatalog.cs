using System.Globalization;
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
using Lamina.Personalities.VMware.Vmxnet3;
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

    private const int MaximumNetworks = 7;
    private readonly List<IDevice> _devices = [];
    private ParavirtualDisk[] _disks = [];
    private readonly List<LimitedNetwork> _networks = [];
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

    /// <summary>Where disks can come and go; null if they cannot.</summary>
    internal IDiskPlaces? Places { get; private set; }

    /// <summary>The settings with which the same machine would be made now.</summary>
    internal MachineSettings CurrentSettings => _settings with
    {
        Disks = [.. AttachedDisks.Select(static d => d.Settings)],
        Networks = [.. _settings.Networks.Select((n, i) => n with { Number = i, Wires = [], Limits = _networks[i].Limits })],
    };

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Networks => [.. _networks.Select(static (n, i) => new LimitedDevice(string.Create(CultureInfo.InvariantCulture, $"net{i}"), n))];

    /// <summary>Makes the devices.</summary>
    /// <returns>The settings less what these devices serve.</returns>
    /// <exception cref="NetworkException">A network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There are too many.</exception>
    internal MachineSettings Add(MachineSettings settings, bool isPvh, IPersonality personality, GuestMemory memory, PciBus bus, AddressSpace ports, AddressSpace mmio, IMessageInterruptSink messages, UserDevices user)
    {
        if (personality is XenPersonality xen)
        {
            AddXen(settings, isPvh, xen, bus, ports, mmio, user);
            Balloon = new MemoryBalloon(ControlDomain!) { Target = settings.Balloon?.Target ?? 0 };
            return settings with { Disks = [], Networks = [], Console = null, Balloon = null };
        }

        if (personality is HyperVPersonality hypervisor)
        {
            AddVmBus(settings, hypervisor, memory, bus, user);
            return settings with { Disks = [], Networks = [], Balloon = null, Sockets = GetVirtioSockets(settings) };
        }

        AddVMware(settings, memory, bus, messages);
        Balloon = new MemoryBalloon(((VMwarePersonality)personality).Balloon) { Target = settings.Balloon?.Target ?? 0 };
        return settings with { Disks = [], Networks = [], Balloon = null, Sockets = GetVirtioSockets(settings) };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ParavirtualDisk disk in _disks)
        {
            disk.Dispose();
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
        places.Insert(disk.Number, disk.Limited, disk.Serial);
        Volatile.Write(ref _disks, [.. _disks, disk]);
    }

    /// <summary>Takes a disk away that the guest has given up, and closes it. On the control thread.</summary>
    internal void Remove(ParavirtualDisk disk, IDiskPlaces places)
    {
        places.Remove(disk.Number);
        Volatile.Write(ref _disks, [.. _disks.Where(d => d != disk)]);
        disk.Dispose();
    }

    private void AddXen(MachineSettings settings, bool isPvh, XenPersonality hypervisor, PciBus bus, AddressSpace ports, AddressSpace mmio, UserDevices user)
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
            places.Add(Check(disk, places), disk.Limited);
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            _ = new NetworkBackEnd(ControlDomain, new MonitorLock(), i, Open(settings, i, NetworkBackEnd.MaximumQueues).Lines, GetHardwareAddress(settings, i));
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

    private void AddVmBus(MachineSettings settings, HyperVPersonality hypervisor, GuestMemory memory, PciBus pci, UserDevices user)
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

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            _ = new NetworkProvider(bus, memory, i, Open(settings, i).Lines[0], GetHardwareAddress(settings, i));
        }

        Services = new IntegrationServices(bus);
        Balloon = new MemoryBalloon(new DynamicMemoryService(bus, memory, new HostReclaimer()), () => hypervisor.ReportedBytes) { Target = settings.Balloon?.Target ?? 0 };
        if (settings.Balloon is { ReportsFreePages: true })
        {
            hypervisor.TakeFreePages(new HostReclaimer());
        }

        if (settings.Screen is { } screen)
        {
            SyntheticKeyboard keyboard = new(bus);
            SyntheticPointer pointer = new(bus);
            SyntheticVideo video = new(bus, new MonitorLock(), new MonitorLock(), memory, screen.Width, screen.Height);
            TakenSlots = 1u << Slot;
            pci.Attach(Slot, 0, video.Function);
            user.Add(keyboard);
            user.Add(video.Display, pointer);
        }

        _devices.AddRange(bus.CreateDeviceStates());
        if (settings.Sockets is { AreVirtio: false } sockets)
        {
            _devices.Add(new SocketProvider("hvsocket0", bus, memory, VirtioCatalog.Open(sockets, _own)));
        }
    }

    // Machines that were saved before there was another way.
    private static SocketSettings? GetVirtioSockets(MachineSettings settings) => settings.Sockets is { AreVirtio: true } sockets ? sockets : null;

    private int Check(ParavirtualDisk disk, IDiskPlaces places)
    {
        return disk.Number >= 0 && disk.Number < places.Count && _disks.Count(d => d.Number == disk.Number) == 1
            ? disk.Number
            : throw new MachineConfigurationException($"There is no place, or another disk, where '{disk.Name}' is to be; the machine has {places.Count} places.");
    }

    private static byte[] GetHardwareAddress(MachineSettings settings, int index) =>
        settings.Networks[index].HardwareAddress is { } given ? [.. given] : HardwareAddress.Create(settings.Name, index);

    private LimitedNetwork Open(MachineSettings settings, int index, int queues = 1)
    {
        if (settings.Networks[index].QueuePairs > queues)
        {
            throw new MachineConfigurationException("Only virtio's and Xen's network cards can have several pairs of queues, and this machine's are another hypervisor's.");
        }

        INetworkBackend[] lines = [.. VirtioCatalog.Open(settings.Networks[index], _notice)];
        foreach (WireNetwork line in lines.Cast<WireNetwork>())
        {
            _own(line);
        }

        LimitedNetwork limited = new(lines, _clock, new MonitorLock(), settings.Networks[index].Limits) { HardwareAddress = GetHardwareAddress(settings, index) };
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
        TakenSlots = 1u << Slot;
        bus.Attach(Slot, 0, controller.Function);
        _devices.Add(controller);
        Places = new PvscsiDiskPlaces(controller);
        foreach (ParavirtualDisk disk in _disks)
        {
            controller.TryInsert(Check(disk, Places), disk.Limited, disk.Serial);
        }

        for (int i = 0; i < settings.Networks.Count; i++)
        {
            LimitedNetwork limited = Open(settings, i);
            string name = string.Create(CultureInfo.InvariantCulture, $"vmxnet{i}");
            Vmxnet3Device card = new(name, new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, messages, limited.Lines[0], GetHardwareAddress(settings, i));
            bus.Attach(Slot, i + 1, card.Function);
            _devices.Add(card);
        }

        if (settings.Sockets is { AreVirtio: false } sockets)
        {
            // A guest's address has 32 bits.
            VmciDevice device = new("vmci0", new MonitorLock(), new MonitorLock(), new MonitorLock(), memory, _clock, messages, VirtioCatalog.Open(sockets, _own), (uint)sockets.Address);
            TakenSlots |= 1u << SocketSlot;
            bus.Attach(SocketSlot, 0, device.Function);
            _devices.Add(device);
        }
    }
}
