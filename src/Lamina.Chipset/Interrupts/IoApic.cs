using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// I/O APIC with 24 inputs (Intel 82093AA datasheet; version 0x20 with the EOI register, as in the ICH families). Inputs 0 to 15 are ISA wires, active
/// high; 16 to 23 are PCI wires, active low: a guest sets their polarity so, as ACPI says for them.
/// </summary>
public sealed class IoApic : IDevice, IRegisterWindow
{
    /// <summary>Number of inputs.</summary>
    public const int PinCount = 24;

    private const int FirstPciPin = 16;
    private const ulong WindowLength = 0x1000;
    private const uint Version = 0x20 | ((PinCount - 1) << 16);
    private const ulong SelectOffset = 0x00;
    private const ulong DataOffset = 0x10;
    private const ulong EndOfInterruptOffset = 0x40;
    private const uint FirstEntryIndex = 0x10;

    private readonly ApicBus _bus;
    private readonly ILock _gate;
    private readonly RedirectionEntry[] _entries = new RedirectionEntry[PinCount];
    private uint _asserted;
    private byte _select;
    private byte _id;

    /// <summary>Makes it, in the state after power-on, and attaches it to the bus.</summary>
    public IoApic(string name, ILock gate, ApicBus bus)
    {
        Name = name;
        _gate = gate;
        _bus = bus;
        Reset();
        bus.Attach(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps the registers at <see cref="PcAddressMap.IoApic"/>.</summary>
    public void Map(AddressSpace mmio) => mmio.Map(Name, PcAddressMap.IoApic, WindowLength, this);

    /// <summary>Drives an input. Any thread.</summary>
    /// <param name="pin">0 to 23; any other is ignored.</param>
    /// <param name="asserted">Whether the device asks for service, whatever the polarity of the wire.</param>
    public void SetPin(int pin, bool asserted)
    {
        if ((uint)pin >= PinCount)
        {
            return;
        }

        _gate.Enter();
        uint bit = 1u << pin;
        bool was = IsActive(pin);
        _asserted = asserted ? _asserted | bit : _asserted & ~bit;
        bool active = IsActive(pin);
        if (active && !was && !_entries[pin].IsLevel && !_entries[pin].IsMasked)
        {
            _bus.Deliver(_entries[pin].Message);
        }
        else
        {
            ServiceLevel(pin);
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length > 4 || (offset & 3) != 0)
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        uint value = offset switch
        {
            SelectOffset => _select,
            DataOffset => ReadRegister(_select),
            _ => 0,
        };
        _gate.Exit();
        LittleEndian.Put(data, value);
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length > 4 || (offset & 3) != 0 || (data.Length != 4 && offset == DataOffset))
        {
            return AccessResult.BadWidth;
        }

        uint value = (uint)LittleEndian.Get(data);
        _gate.Enter();
        switch (offset)
        {
            case SelectOffset:
                _select = (byte)value;
                break;
            case DataOffset:
                WriteRegister(_select, value);
                break;
            case EndOfInterruptOffset:
                EndVector((byte)value);
                break;
            default:
                break;
        }

        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    /// <remarks>The levels of the wires are the devices', so they stay.</remarks>
    public void Reset()
    {
        _gate.Enter();
        _select = 0;
        _id = 0;
        for (int i = 0; i < PinCount; i++)
        {
            _entries[i].Value = RedirectionEntry.AfterReset;
            _bus.OnRedirection(i, _entries[i]);
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _select);
        state.Write(2, _id);
        state.Write(3, _asserted);
        for (int i = 0; i < PinCount; i++)
        {
            state.Write((ushort)(10 + i), _entries[i].Value);
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _select) & state.TryTake(2, 0xf, ref _id) & state.TryTake(3, ref _asserted) & _asserted < 1u << PinCount;
        for (int i = 0; i < PinCount; i++)
        {
            valid &= state.TryTake((ushort)(10 + i), ref _entries[i].Value) && _entries[i].IsValid;
        }

        return valid;
    }

    internal ApicBus Bus => _bus;

    /// <summary>Writes down its state for an accelerator.</summary>
    internal void HandOver(LineControllerState state)
    {
        _gate.Enter();
        state.Select = _select;
        state.Id = _id;
        for (int pin = 0; pin < PinCount; pin++)
        {
            state.Redirections[pin] = _entries[pin].Value;
        }

        _gate.Exit();
    }

    /// <summary>Takes an accelerator's. The levels of the wires are told next.</summary>
    internal void TakeBack(LineControllerState state)
    {
        _gate.Enter();
        _select = state.Select;
        _id = (byte)(state.Id & 0xf);
        for (int pin = 0; pin < PinCount; pin++)
        {
            _entries[pin].Value = state.Redirections[pin] & RedirectionEntry.AllBits;
        }

        _gate.Exit();
    }

    /// <summary>The wires as they are now, without an edge.</summary>
    internal void TakeLevels(uint asserted)
    {
        _gate.Enter();
        _asserted = asserted;
        for (int pin = 0; pin < PinCount; pin++)
        {
            ServiceLevel(pin);
        }

        _gate.Exit();
    }

    /// <summary>Tells whoever has the local APICs of all entries.</summary>
    internal void ShowRoutes()
    {
        _gate.Enter();
        for (int pin = 0; pin < PinCount; pin++)
        {
            _bus.OnRedirection(pin, _entries[pin]);
        }

        _gate.Exit();
    }

    /// <summary>A local APIC ends a level-triggered interrupt.</summary>
    internal void EndOfInterrupt(byte vector)
    {
        _gate.Enter();
        EndVector(vector);
        _gate.Exit();
    }

    private bool IsActive(int pin)
    {
        bool asserted = (_asserted >> pin & 1) != 0;
        return asserted ^ (_entries[pin].IsActiveLow != pin >= FirstPciPin);
    }

    private void EndVector(byte vector)
    {
        for (int pin = 0; pin < PinCount; pin++)
        {
            if (_entries[pin].RemoteRequest && _entries[pin].Vector == vector)
            {
                _entries[pin].RemoteRequest = false;
                ServiceLevel(pin);
            }
        }
    }

    private void ServiceLevel(int pin)
    {
        ref RedirectionEntry entry = ref _entries[pin];
        if (entry.IsLevel && !entry.IsMasked && !entry.RemoteRequest && IsActive(pin))
        {
            entry.RemoteRequest = _bus.Deliver(entry.Message);
        }
    }

    private uint ReadRegister(byte index)
    {
        uint entry = index - FirstEntryIndex;
        if (entry < 2 * PinCount)
        {
            ulong value = _entries[entry >> 1].Value;
            return (entry & 1) == 0 ? (uint)value : (uint)(value >> 32);
        }

        return index switch
        {
            0 or 2 => (uint)_id << 24,
            1 => Version,
            _ => 0,
        };
    }

    private void WriteRegister(byte index, uint value)
    {
        uint entry = index - FirstEntryIndex;
        if (entry < 2 * PinCount)
        {
            int pin = (int)(entry >> 1);
            _entries[pin].Write((entry & 1) != 0, value);
            _bus.OnRedirection(pin, _entries[pin]);
            ServiceLevel(pin);
        }
        else if (index == 0)
        {
            _id = (byte)((value >> 24) & 0xf);
        }
    }
}
