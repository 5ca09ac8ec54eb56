using System.Globalization;
using Lamina.Chipset.Pci;
using Lamina.Interop;
using Lamina.Storage;
using Lamina.Virtio.Transport;
using Lamina.Vmm.Events;

namespace Lamina.Vmm.Devices;

/// <summary>
/// Lets disks and network cards come and go while a machine runs: what is asked for is done on the control thread, and the guest's own part by ACPI (<see cref="PciHotPlug"/>).
/// </summary>
internal sealed class DeviceChanges : IHotPlugEvents
{
    private readonly LoopWork _work;
    private readonly Posting _removal;
    private readonly Task _end;
    private readonly Action<string> _notice;
    private readonly Lock _attaching = new();
    private DeviceCatalog? _devices;
    private uint _ejected;

    /// <summary>Makes it for a machine that is being made.</summary>
    /// <param name="loop">The control thread.</param>
    /// <param name="end">Completes when the machine has ended.</param>
    /// <param name="notice">Told what a person should know.</param>
    internal DeviceChanges(EventLoop loop, Task end, Action<string> notice)
    {
        _work = new LoopWork(loop);
        _removal = new Posting(loop, Remove);
        _end = end;
        _notice = notice;
    }

    private DeviceCatalog Devices => _devices!;

    /// <summary>Says which devices there are, before the machine starts.</summary>
    internal void Connect(DeviceCatalog devices) => _devices = devices;

    /// <summary>Goes on with what was under way in the machine that was saved: devices that their guest was asked to give up. Before the machine runs.</summary>
    internal void GoOn()
    {
        if (Devices.Paravirtual is not { } own)
        {
            return;
        }

        foreach (ParavirtualDisk disk in own.AttachedDisks.Where(d => own.Places?.IsLeaving(d.Number) == true))
        {
            RequestRemoval(own, own.Places!, disk);
        }

        foreach (ParavirtualNetwork network in own.AttachedNetworks.Where(n => own.NetworkPlaces?.IsLeaving(n) == true))
        {
            RequestRemoval(own, own.NetworkPlaces!, network);
        }
    }

    /// <inheritdoc/>
    public void Ejected(int slot)
    {
        Interlocked.Or(ref _ejected, 1u << slot);
        _removal.Schedule();
    }

    /// <summary>Attaches a disk.</summary>
    /// <returns>The device's name.</returns>
    internal string AttachDisk(DiskSettings settings) => Devices.Paravirtual is { Places: { } places } own ? AttachDisk(own, places, settings) : Attach(() => Devices.Virtio.CreateDisk(settings));

    /// <summary>Attaches a network card.</summary>
    /// <returns>The device's name.</returns>
    internal string AttachNetwork(NetworkSettings settings) =>
        Devices.Paravirtual is { NetworkPlaces: { } places } own ? AttachNetwork(own, places, settings) : Attach(() => Devices.Virtio.CreateNetwork(settings));

    /// <summary>Asks the guest to give a device up, and waits.</summary>
    /// <returns>Whether it is gone.</returns>
    internal bool Detach(string name, TimeSpan patience)
    {
        if (Devices.Paravirtual is { NetworkPlaces: { } networks } owner && owner.AttachedNetworks.FirstOrDefault(n => n.Name == name) is { } network)
        {
            Do(() => RequestRemoval(owner, networks, network));
            return Task.WaitAny([network.Removed, _end], patience) == 0;
        }

        if (Devices.Paravirtual is { Places: { } places } own)
        {
            return Detach(own, places, name, patience);
        }

        CheckChangeable();
        AttachedDevice attached = Find(name);
        Do(() =>
        {
            attached.RemovalRequested = true;
            Devices.HotPlug!.RequestRemoval(attached.Slot);
        });
        return Task.WaitAny([attached.Removed, _end], patience) == 0;
    }

    /// <summary>Makes a disk larger, and tells the guest.</summary>
    internal void ResizeDisk(string name, ulong length)
    {
        AttachedDevice? attached = null;
        DiskBackend backend;
        if (Devices.Paravirtual is { Places: not null } own)
        {
            backend = Find(own, name).Backend;
        }
        else
        {
            attached = Find(name);
            backend = attached.DiskBackend ?? throw new MachineConfigurationException($"'{name}' is not a disk.");
        }

        if (backend.IsReadOnly || length < backend.Length || length % 512 != 0)
        {
            throw new MachineConfigurationException(backend.IsReadOnly
                ? $"The disk '{name}' is for reading only."
                : string.Create(CultureInfo.InvariantCulture, $"The disk '{name}' has {backend.Length} bytes, and can be given more, in sectors of 512 bytes, while the machine runs; {length} is not that."));
        }

        int error = 0;
        Do(() =>
        {
            // Nothing may be under way while the image's tables change.
            if (attached == null)
            {
                Devices.Paravirtual!.Places!.Resize(Find(Devices.Paravirtual, name).Number, () => error = backend.Resize(length));
                return;
            }

            attached.Transport!.Stop();
            error = backend.Resize(length);
            attached.Block!.Resize();
            attached.Transport.Start();
        });
        if (error != 0)
        {
            throw new MachineConfigurationException($"The disk '{name}' cannot be made larger: {new SystemCallException("resize", error).Reason}.");
        }
    }

    private static ParavirtualDisk Find(ParavirtualCatalog own, string name)
    {
        return own.AttachedDisks.FirstOrDefault(d => d.Name == name)
            ?? throw new MachineConfigurationException($"The machine has no disk '{name}'{(own.AttachedDisks.Count > 0 ? $"; it has {string.Join(", ", own.AttachedDisks.Select(static d => d.Name))}" : "")}.");
    }

    private string AttachDisk(ParavirtualCatalog own, IDiskPlaces places, DiskSettings settings)
    {
        lock (_attaching)
        {
            ParavirtualDisk disk = own.CreateDisk(settings, places);
            try
            {
                Do(() => own.Insert(disk, places));
                return disk.Name;
            }
            catch
            {
                disk.Dispose();
                throw;
            }
        }
    }

    private bool Detach(ParavirtualCatalog own, IDiskPlaces places, string name, TimeSpan patience)
    {
        ParavirtualDisk disk = Find(own, name);
        Do(() => RequestRemoval(own, places, disk));
        return Task.WaitAny([disk.Removed, _end], patience) == 0;
    }

    private string AttachNetwork(ParavirtualCatalog own, INetworkPlaces places, NetworkSettings settings)
    {
        lock (_attaching)
        {
            ParavirtualNetwork network = own.CreateNetwork(settings, places.Count, places.MaximumQueuePairs);
            try
            {
                Do(() => own.Insert(network, places));
                return network.Name;
            }
            catch
            {
                network.Dispose();
                throw;
            }
        }
    }

    private void RequestRemoval(ParavirtualCatalog own, IDiskPlaces places, ParavirtualDisk disk) =>
        RequestRemoval(disk, () => places.RequestRemoval(disk.Number), () => places.IsGivenUp(disk.Number), () => own.Remove(disk, places));

    private void RequestRemoval(ParavirtualCatalog own, INetworkPlaces places, ParavirtualNetwork network) =>
        RequestRemoval(network, () => places.RequestRemoval(network), () => places.IsGivenUp(network), () => own.Remove(network, places));

    // On the control thread, or before it runs.
    private void RequestRemoval(IRemovable device, Func<bool> request, Func<bool> isGivenUp, Action remove)
    {
        if (!device.RemovalRequested)
        {
            device.RemovalRequested = true;
            _ = Task.Run(() => FinishAsync(device, request, isGivenUp, remove));
        }
        else
        {
            // A guest that has refused may think better of it.
            request();
        }
    }

    // Front ends say in memory that they have let go, and tell nobody. A machine whose guest cannot be asked yet is asked again, and gives the device up with its next reset at the latest.
    private async Task FinishAsync(IRemovable device, Func<bool> request, Func<bool> isGivenUp, Action remove)
    {
        TimeSpan pause = TimeSpan.FromMilliseconds(20);
        TimeSpan longest = TimeSpan.FromSeconds(1);
        bool asked = false;
        while (!_end.IsCompleted && !device.Removed.IsCompleted)
        {
            _work.Run(
                () =>
                {
                    if (!device.Removed.IsCompleted)
                    {
                        asked = asked || request();
                        if (isGivenUp())
                        {
                            remove();
                        }
                    }
                },
                _end);
            await Task.WhenAny(_end, device.Removed, Task.Delay(pause)).ConfigureAwait(false);
            pause = pause + pause < longest ? pause + pause : longest;
        }
    }

    private string Attach(Func<AttachedDevice> create)
    {
        CheckChangeable();
        lock (_attaching)
        {
            AttachedDevice attached = create();
            try
            {
                Do(() =>
                {
                    PciTransport transport = Devices.Virtio.Admit(attached);
                    Devices.Add(transport);
                    transport.Start();
                    Devices.HotPlug!.Insert(attached.Slot, transport.Function);
                });
                return attached.Name;
            }
            catch
            {
                attached.Dispose();
                throw;
            }
        }
    }

    // On the control thread: the guest has ejected something, which is off the bus already.
    private void Remove()
    {
        uint slots = Interlocked.Exchange(ref _ejected, 0);
        foreach (ParavirtualNetwork network in Devices.Paravirtual?.AttachedNetworks ?? [])
        {
            if (network.Slot is { } slot && (slots & (1u << slot)) != 0)
            {
                Devices.Paravirtual!.Remove(network, Devices.Paravirtual.NetworkPlaces!);
                TellEjected(network.Name, network.RemovalRequested);
            }
        }

        foreach (AttachedDevice attached in Devices.Virtio.Attached)
        {
            if ((slots & (1u << attached.Slot)) != 0 && attached.Transport is { } transport)
            {
                transport.Stop();
                Devices.Remove(transport);

                // What is not listed any more can be attached again.
                attached.Close();
                Devices.Virtio.Dismiss(attached);
                attached.Dispose();
                TellEjected(attached.Name, attached.RemovalRequested);
            }
        }
    }

    private void TellEjected(string name, bool isExpected)
    {
        if (!isExpected)
        {
            _notice($"the guest has ejected the device '{name}'");
        }
    }

    private void CheckChangeable()
    {
        if (!Devices.Virtio.CanChange)
        {
            throw new MachineConfigurationException("Devices can come and go on a PCI bus alone, and this machine's are memory-mapped.");
        }
    }

    private AttachedDevice Find(string name)
    {
        IReadOnlyList<AttachedDevice> all = Devices.Virtio.Attached;
        return all.FirstOrDefault(a => a.Name == name)
            ?? throw new MachineConfigurationException($"The machine has no device '{name}' that could be changed{(all.Count > 0 ? $"; it has {string.Join(", ", all.Select(static a => a.Name))}" : "")}.");
    }

    private void Do(Action work)
    {
        if (!_work.Run(work, _end))
        {
            throw new MachineConfigurationException("The machine has ended.");
        }
    }
}
