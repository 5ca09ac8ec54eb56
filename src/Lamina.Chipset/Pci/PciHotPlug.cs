using Lamina.Chipset.Power;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;

namespace Lamina.Chipset.Pci;

/// <summary>
/// Hot-plug of the slots of bus 0 by ACPI: registers at <see cref="PcAddressMap.PciHotPlug"/>, read by the DSDT's methods when general-purpose event
/// <see cref="GeneralEvent"/> is raised. The registers are those of QEMU's ACPI PCI hot-plug interface (docs/specs/acpi_pci_hotplug), of which the DSDT is the only user, one bit a slot.
/// </summary>
public sealed class PciHotPlug : IDevice, IRegisterWindow
{
    /// <summary>The general-purpose event of changes.</summary>
    public const int GeneralEvent = 1;

    /// <summary>Length of the registers in ports.</summary>
    public const int Length = 0x14;

    private const ulong Inserted = 0x00;
    private const ulong RemovalRequested = 0x04;
    private const ulong Eject = 0x08;
    private const ulong Removable = 0x0c;
    private const int SlotCount = 32;

    private readonly ILock _gate;
    private readonly PciBus _bus;
    private readonly AcpiPowerManagement _power;
    private readonly IHotPlugEvents _events;
    private uint _inserted;
    private uint _removalShown;
    private uint _removalRequested;
    private uint _removable;

    /// <summary>Makes it for a bus whose slots hold what they hold.</summary>
    /// <param name="name">Device name.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="bus">The bus.</param>
    /// <param name="power">What raises the event.</param>
    /// <param name="events">Told of ejections.</param>
    public PciHotPlug(string name, ILock gate, PciBus bus, AcpiPowerManagement power, IHotPlugEvents events)
    {
        Name = name;
        _gate = gate;
        _bus = bus;
        _power = power;
        _events = events;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps the registers.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.PciHotPlug, Length, this);

    /// <summary>Says whether the guest may eject what is in a slot. On the control thread.</summary>
    public void SetRemovable(int slot, bool removable)
    {
        _gate.Enter();
        _removable = removable ? _removable | Bit(slot) : _removable & ~Bit(slot);
        _gate.Exit();
    }

    /// <summary>Puts a function into an empty slot of a machine that runs, from where the guest may eject it, and tells the guest. On the control thread.</summary>
    public void Insert(int slot, PciFunction function)
    {
        _bus.Attach(slot, 0, function);
        _gate.Enter();
        _removable |= Bit(slot);
        _removalRequested &= ~Bit(slot);
        _removalShown &= ~Bit(slot);
        _inserted |= Bit(slot);
        _gate.Exit();
        _power.RaiseGeneralEvent(GeneralEvent);
    }

    /// <summary>Asks the guest to give up what is in a slot. It answers by ejecting it, or never. On the control thread.</summary>
    public void RequestRemoval(int slot)
    {
        _gate.Enter();
        _removalRequested |= Bit(slot) & _removable;
        _removalShown |= Bit(slot) & _removable;
        _gate.Exit();
        _power.RaiseGeneralEvent(GeneralEvent);
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <summary>Nobody in the guest uses anything any more: what it was asked to give up goes.</summary>
    public void Reset()
    {
        _gate.Enter();
        uint requested = _removalRequested;
        _inserted = 0;
        _removalShown = 0;
        _gate.Exit();
        EjectAll(requested);
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _inserted);
        state.Write(2, _removalShown);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _inserted) & state.TryTake(2, ref _removalShown);
        _removalShown &= _removable;
        return valid;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length != sizeof(uint))
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        uint value = 0;
        switch (offset)
        {
            case Inserted:
                value = _inserted;
                _inserted = 0;
                break;
            case RemovalRequested:
                // Each request is shown once: a guest that refuses is not asked again by the next event.
                value = _removalShown;
                _removalShown = 0;
                break;
            case Removable:
                value = _removable;
                break;
        }

        _gate.Exit();
        LittleEndian.Put(data, value);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length != sizeof(uint))
        {
            return AccessResult.BadWidth;
        }

        if (offset == Eject)
        {
            EjectAll((uint)LittleEndian.Get(data));
        }

        return AccessResult.Done;
    }

    private static uint Bit(int slot) => 1u << slot;

    private void EjectAll(uint slots)
    {
        for (int slot = 0; slot < SlotCount; slot++)
        {
            if ((slots & Bit(slot)) == 0)
            {
                continue;
            }

            _gate.Enter();
            bool ejected = (_removable & Bit(slot)) != 0;
            _removable &= ~Bit(slot);
            _removalRequested &= ~Bit(slot);
            _removalShown &= ~Bit(slot);
            _inserted &= ~Bit(slot);
            _gate.Exit();
            if (ejected)
            {
                // Not with the lock held: the bus has one of its own.
                _bus.Detach(slot);
                _events.Ejected(slot);
            }
        }
    }
}
