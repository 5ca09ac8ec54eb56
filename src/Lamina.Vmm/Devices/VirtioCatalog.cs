using System.Globalization;
using System.Text;
using Lamina.Chipset;
using Lamina.Chipset.Pci;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;
using Lamina.Networking;
using Lamina.Networking.Sockets;
using Lamina.Storage;
using Lamina.Storage.Sharing;
using Lamina.Virtio;
using Lamina.Virtio.Balloon;
using Lamina.Virtio.Console;
using Lamina.Virtio.Entropy;
using Lamina.Virtio.FileSystem;
using Lamina.Virtio.Socket;
using Lamina.Virtio.Transport;

namespace Lamina.Vmm.Devices;

/// <summary>
/// The virtio devices of a machine: makes them and what serves them on the host, and puts them on the PCI bus in the order in which they were asked for. Disks and network cards can
/// come and go later.
/// </summary>
internal sealed partial class VirtioCatalog : IDisposable
{
    private readonly MachineSettings _settings;
    private readonly GuestMemory _memory;
    private readonly IMachineClock _clock;
    private readonly PciBus? _bus;
    private readonly AddressSpace? _mmio;
    private readonly IMessageInterruptSink _messages;
    private readonly Action<string> _notice;
    private readonly List<IDevice> _devices = [];
    private readonly List<FolderServer> _folders = [];

    /// <summary>Makes them all.</summary>
    /// <param name="settings">The machine.</param>
    /// <param name="memory">Its RAM.</param>
    /// <param name="clock">What limits count by.</param>
    /// <param name="bus">Where the devices go, unless they are memory-mapped; null for a machine that has neither a bus nor such devices.</param>
    /// <param name="mmio">Where they go otherwise.</param>
    /// <param name="messages">Where their interrupts go.</param>
    /// <param name="own">Takes what is to be disposed with the machine.</param>
    /// <param name="notice">Told what a person should know, while the machine runs. Any thread.</param>
    /// <param name="takenSlots">Places on the bus that other devices have, a bit each.</param>
    /// <exception cref="StorageException">A disk cannot be opened.</exception>
    /// <exception cref="NetworkException">A network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">There are too many.</exception>
    internal VirtioCatalog(MachineSettings settings, GuestMemory memory, IMachineClock clock, PciBus? bus, AddressSpace mmio, IMessageInterruptSink messages, Action<IDisposable> own, Action<string> notice, uint takenSlots)
    {
        _settings = settings;
        _memory = memory;
        _clock = clock;
        _bus = bus;
        _mmio = settings.Transport == VirtioTransport.Mmio ? mmio : null;
        _messages = messages;
        _notice = notice;
        own(this);
        if (bus == null)
        {
            return;
        }

        _takenSlots |= takenSlots;
        foreach (int slot in settings.EmptySlots)
        {
            _takenSlots |= GetSlotBit(slot);
        }

        foreach (DiskSettings disk in settings.Disks)
        {
            AddAtStart(CreateDisk(disk));
        }

        foreach (NetworkSettings network in settings.Networks)
        {
            AddAtStart(CreateNetwork(network));
        }

        for (int i = 0; i < settings.Shares.Count; i++)
        {
            ShareSettings share = settings.Shares[i];
            byte[] tag = Encoding.UTF8.GetBytes(share.Tag);
            if (tag.Length is 0 or > FileSystemDevice.TagLength)
            {
                throw new MachineConfigurationException($"The tag '{share.Tag}' of a shared folder must have 1 to {FileSystemDevice.TagLength} bytes.");
            }

            FolderServer server = FolderServer.Open(share.Path, share.IsReadOnly);
            own(server);
            _folders.Add(server);
            Add(new FileSystemDevice(string.Create(CultureInfo.InvariantCulture, $"share{i}"), new MonitorLock(), memory, server, tag));
        }

        AddConsoles(settings, memory);
        if (settings.Balloon is { } balloon)
        {
            BalloonDevice device = new("balloon0", new MonitorLock(), memory, new HostReclaimer(), balloon.DeflatesOnOutOfMemory, balloon.ReportsFreePages);
            Balloon = new MemoryBalloon(device) { Target = balloon.Target };
            Add(device);
        }

        if (settings.Sockets is { } sockets)
        {
            Add(new SocketDevice("vsock0", new MonitorLock(), memory, Open(sockets, own), sockets.Address));
        }

        Add(new EntropyDevice("rng0", new MonitorLock(), memory, new HostEntropy()));
        foreach (int slot in settings.EmptySlots)
        {
            _takenSlots &= ~GetSlotBit(slot);
        }
    }

    /// <summary>They.</summary>
    internal IReadOnlyList<IDevice> Devices => _devices;

    /// <summary>What serves the shared folders, in their order.</summary>
    internal IReadOnlyList<FolderServer> Folders => _folders;

    /// <summary>How many of them are memory-mapped.</summary>
    internal int MmioCount { get; private set; }

    /// <summary>The memory balloon; null if there is none.</summary>
    internal MemoryBalloon? Balloon { get; private set; }

    /// <summary>The device of the console; null if there is none.</summary>
    internal ConsoleDevice? ConsoleDevice { get; private set; }

    /// <summary>The console; null if there is none.</summary>
    internal ConsolePort? Console { get; private set; }

    /// <summary>The named ports.</summary>
    internal IReadOnlyList<ConsolePort> Ports { get; private set; } = [];

    /// <summary>Makes the host's side of a guest's sockets.</summary>
    /// <exception cref="NetworkException">It cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">The guest cannot have that address.</exception>
    internal static SocketGateway Open(SocketSettings sockets, Action<IDisposable> own)
    {
        if (sockets.Address is < SocketDevice.MinimumAddress or > SocketDevice.MaximumAddress)
        {
            throw new MachineConfigurationException($"A guest cannot have the socket address {sockets.Address}; {SocketDevice.MinimumAddress} to {SocketDevice.MaximumAddress} are accepted.");
        }

        SocketGateway gateway = SocketGateway.Open(sockets.Path);
        own(gateway);
        return gateway;
    }

    private void AddConsoles(MachineSettings settings, GuestMemory memory)
    {
        if (settings.Console != null)
        {
            Console = new ConsolePort([], isConsole: true, settings.Console);
            ConsoleDevice = new ConsoleDevice("console0", new MonitorLock(), memory, [Console]);
            Add(ConsoleDevice);
        }

        if (settings.Ports.Count > ConsoleDevice.MaximumPorts)
        {
            throw new MachineConfigurationException($"A machine can have {ConsoleDevice.MaximumPorts} named ports, not {settings.Ports.Count}.");
        }

        if (settings.Ports.Count > 0)
        {
            ConsolePort[] ports = new ConsolePort[settings.Ports.Count];
            for (int i = 0; i < ports.Length; i++)
            {
                PortSettings port = settings.Ports[i];
                byte[] name = Encoding.UTF8.GetBytes(port.Name);
                if (name.Length is 0 or > ConsolePort.MaximumNameLength)
                {
                    throw new MachineConfigurationException($"The name '{port.Name}' of a port must have 1 to {ConsolePort.MaximumNameLength} bytes.");
                }

                ports[i] = new ConsolePort(name, isConsole: false, port.Output);
            }

            Ports = ports;
            Add(new ConsoleDevice("ports0", new MonitorLock(), memory, ports));
        }
    }

    private void Add(VirtioDevice device) => _devices.Add(_mmio != null ? Map(device, _mmio) : Attach(device, TakeSlot(null, device.Name)));

    private MmioTransport Map(VirtioDevice device, AddressSpace mmio)
    {
        if (MmioCount == PcAddressMap.VirtioCount)
        {
            throw new MachineConfigurationException($"A machine has places for {PcAddressMap.VirtioCount} memory-mapped devices, and '{device.Name}' would be one more.");
        }

        MmioTransport mapped = new(device, _bus!, MmioCount);
        mmio.Map($"{device.Name} registers", PcAddressMap.Virtio + ((ulong)MmioCount * PcAddressMap.VirtioLength), PcAddressMap.VirtioLength, mapped);
        MmioCount++;
        return mapped;
    }

    private PciTransport Attach(VirtioDevice device, int slot)
    {
        PciTransport transport = new(device, new MonitorLock(), new MonitorLock(), _messages);
        _bus!.Attach(slot, 0, transport.Function);
        return transport;
    }
}
