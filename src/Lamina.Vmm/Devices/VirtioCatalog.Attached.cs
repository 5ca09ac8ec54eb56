using System.Globalization;
using System.Text;
using Lamina.Interop.Networks;
using Lamina.Machine.Limits;
using Lamina.Networking;
using Lamina.Storage;
using Lamina.Virtio.Block;
using Lamina.Virtio.Network;
using Lamina.Virtio.Transport;

namespace Lamina.Vmm.Devices;

/// <content>Disks and network cards, which can come and go while the machine runs. The lists are replaced whole, on the control thread; any thread may read them.</content>
internal sealed partial class VirtioCatalog
{
    private const int FirstSlot = 1;
    private const int LastSlot = 31;
    private const int MaximumBlockQueues = 4;
    private AttachedDevice[] _attached = [];
    private uint _takenSlots = 1;

    /// <summary>All of them.</summary>
    internal IReadOnlyList<AttachedDevice> Attached => Volatile.Read(ref _attached);

    /// <summary>The disks' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Disks => [.. Attached.Where(static a => a.Disk != null).Select(static a => new LimitedDevice(a.Name, a.Disk!))];

    /// <summary>The network cards' limits.</summary>
    internal IReadOnlyList<LimitedDevice> Networks => [.. Attached.Where(static a => a.Network != null).Select(static a => new LimitedDevice(a.Name, a.Network!))];

    /// <summary>Whether devices can come and go.</summary>
    internal bool CanChange => _mmio == null && _bus != null;

    /// <summary>The settings with which the same machine would be made now.</summary>
    internal MachineSettings CurrentSettings => _settings with
    {
        Disks = [.. Attached.Select(static a => a.DiskSettings).OfType<DiskSettings>()],
        Networks = [.. Attached.Select(static a => a.NetworkSettings).OfType<NetworkSettings>()],
        EmptySlots = _mmio != null ? [] : [.. Enumerable.Range(FirstSlot, int.Log2((int)(_takenSlots & int.MaxValue))).Where(s => (_takenSlots & (1u << s)) == 0)],
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (AttachedDevice attached in _attached)
        {
            attached.Dispose();
        }
    }

    /// <summary>Opens what a network card is connected to, a line for each pair of its queues.</summary>
    /// <param name="network">The card.</param>
    /// <param name="notice">Told, on any thread, why a network is gone.</param>
    /// <exception cref="NetworkException">It cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">The settings contradict each other.</exception>
    internal static IReadOnlyList<WireNetwork> Open(NetworkSettings network, Action<string> notice)
    {
        int pairs = network.QueuePairs;
        if (pairs is < 1 or > NetworkDevice.MaximumQueuePairs)
        {
            throw new MachineConfigurationException($"A network card can have 1 to {NetworkDevice.MaximumQueuePairs} pairs of queues, not {pairs}.");
        }

        if (network.Kind == NetworkKind.User && pairs != 1)
        {
            throw new MachineConfigurationException("A network card on user networking has one pair of queues, because its wire is one stream.");
        }

        if (network.Wires.Count > 0 && network.Wires.Count != pairs)
        {
            throw new MachineConfigurationException($"A network card with {pairs} pairs of queues needs as many open files, not {network.Wires.Count}.");
        }

        IReadOnlyList<WireNetwork> lines = network.Kind switch
        {
            NetworkKind.User when network.Wires.Count > 0 => [new StreamNetwork(OwnedDescriptor.Adopt(network.Wires[0].Take()))],
            _ when network.Wires.Count > 0 => [.. network.Wires.Select(w => TapNetwork.Adopt(OwnedDescriptor.Adopt(w.Take()), network.Name ?? ""))],
            NetworkKind.User => [UserNetwork.Start(network.PublishedPorts)],
            NetworkKind.Tap => TapNetwork.Open(network.Name ?? throw new MachineConfigurationException("A network card on a tap interface needs the interface's name."), pairs),
            _ => TapNetwork.OpenOnBridge(network.Name ?? throw new MachineConfigurationException("A network card on a bridge needs the bridge's name."), pairs),
        };

        // All lines of an interface go together.
        lines[0].Notice = notice;
        return lines;
    }

    /// <summary>Makes a disk that is on no bus yet. Any thread.</summary>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    internal AttachedDevice CreateDisk(DiskSettings settings)
    {
        int number = settings.Number ?? FindFree("disk");
        string name = GetName("disk", number);
        DiskBackend backend = new(DiskImages.Open(settings.Path, settings.Format, !settings.IsReadOnly, settings.IsDirect, settings.Files ?? HostImageFiles.Instance), settings.OnNoSpace, _notice);
        LimitedDisk limited = new(backend, _clock, new MonitorLock(), settings.Limits);
        int queues = Math.Min(_settings.ProcessorCount, MaximumBlockQueues);
        BlockDevice device = new(name, new MonitorLock(), _memory, limited, queues, Encoding.ASCII.GetBytes(settings.Serial ?? name));
        return new AttachedDevice(device, [backend]) { Block = device, Disk = limited, DiskBackend = backend, DiskSettings = settings with { Number = number, Files = null } };
    }

    /// <summary>Makes a network card that is on no bus yet. Any thread.</summary>
    /// <exception cref="NetworkException">The network cannot be had.</exception>
    internal AttachedDevice CreateNetwork(NetworkSettings settings)
    {
        int number = settings.Number ?? FindFree("net");
        IReadOnlyList<WireNetwork> lines = Open(settings, _notice);
        byte[] address = GetHardwareAddress(settings, number);
        LimitedNetwork limited = new([.. lines], _clock, new MonitorLock(), settings.Limits) { HardwareAddress = address };
        NetworkDevice device = new(GetName("net", number), new MonitorLock(), _memory, limited.Lines, address);
        return new AttachedDevice(device, lines) { Network = limited, NetworkSettings = settings with { Number = number, Wires = [] } };
    }

    /// <summary>Gives a device of a machine that runs its slot and its function, which the caller puts there. On the control thread.</summary>
    /// <exception cref="MachineConfigurationException">There is no slot, or the name is taken.</exception>
    internal PciTransport Admit(AttachedDevice attached)
    {
        CheckName(attached);
        attached.Slot = TakeSlot(attached.WantedSlot, attached.Name);
        PciTransport transport = new(attached.Device, new MonitorLock(), new MonitorLock(), _messages);
        attached.Transport = transport;
        Volatile.Write(ref _attached, [.. _attached, attached]);
        return transport;
    }

    /// <summary>Forgets a device that is off the bus, and whose slot is free again. On the control thread.</summary>
    internal void Dismiss(AttachedDevice attached)
    {
        Volatile.Write(ref _attached, [.. _attached.Where(a => a != attached)]);
        _takenSlots &= ~GetSlotBit(attached.Slot);
    }

    /// <summary>Gives a device of a machine that runs, which is none of these, the last free slot. On the control thread.</summary>
    /// <exception cref="MachineConfigurationException">There is none.</exception>
    internal int TakeLastSlot(string device) => TakeSlot(Math.Max(LastSlot - int.LeadingZeroCount((int)~_takenSlots), 0) is not 0 and var last ? last : null, device);

    /// <summary>Takes it back. On the control thread.</summary>
    internal void FreeSlot(int slot) => _takenSlots &= ~GetSlotBit(slot);

    /// <summary>A network card's hardware address.</summary>
    internal byte[] GetHardwareAddress(NetworkSettings settings, int number) => settings.HardwareAddress is { } given ? [.. given] : HardwareAddress.Create(_settings.Name, number);

    private static string GetName(string kind, int number) => string.Create(CultureInfo.InvariantCulture, $"{kind}{number}");

    private static uint GetSlotBit(int slot) => slot is >= FirstSlot and <= LastSlot ? 1u << slot : throw new MachineConfigurationException($"There is no PCI slot {slot}; {FirstSlot} to {LastSlot} are accepted.");

    private void AddAtStart(AttachedDevice attached)
    {
        try
        {
            CheckName(attached);
            if (_mmio != null)
            {
                attached.Transport = Map(attached.Device, _mmio);
            }
            else
            {
                attached.Slot = TakeSlot(attached.WantedSlot, attached.Name);
                attached.Transport = Attach(attached.Device, attached.Slot);
            }
        }
        catch
        {
            attached.Dispose();
            throw;
        }

        _attached = [.. _attached, attached];
        _devices.Add(attached.Transport);
    }

    private void CheckName(AttachedDevice attached)
    {
        if (Array.Exists(_attached, a => a.Name == attached.Name))
        {
            throw new MachineConfigurationException($"There are two devices '{attached.Name}'.");
        }
    }

    private int FindFree(string kind)
    {
        int number = 0;
        while (Array.Exists(_attached, a => a.Name == GetName(kind, number)))
        {
            number++;
        }

        return number;
    }

    private int TakeSlot(int? wanted, string device)
    {
        int slot = wanted ?? int.TrailingZeroCount((int)~_takenSlots);
        if (slot > LastSlot && wanted == null)
        {
            throw new MachineConfigurationException($"A machine has places for {LastSlot} devices on its PCI bus, and '{device}' would be one more.");
        }

        uint bit = GetSlotBit(slot);
        if ((_takenSlots & bit) != 0)
        {
            throw new MachineConfigurationException($"The PCI slot {slot} of '{device}' is taken.");
        }

        _takenSlots |= bit;
        return slot;
    }
}
