using System.Numerics;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Machine.Pci;

/// <summary>
/// The configuration space of a function with a type 0 header (PCI 3.0, chapter 6): identity, base address registers, capabilities, INTx. A device owns one, adds
/// its registers and capabilities, and puts it on a bus; all before the machine starts.
/// </summary>
public sealed class PciFunction
{
    /// <summary>Bytes of configuration space; the extended space above reads as all ones.</summary>
    public const int ConfigurationSize = 256;

    private const int Command = 0x04;
    private const int Status = 0x06;
    private const int HeaderType = 0x0e;
    private const int FirstBar = 0x10;
    private const int BarCount = 6;
    private const int CapabilitiesPointer = 0x34;
    private const int FirstCapability = 0x40;
    private const int InterruptLine = 0x3c;
    private const int InterruptPin = 0x3d;
    private const ushort CommandBits = 0x0547; // I/O, memory, master, parity, SERR, INTx disable.
    private const ushort IoEnable = 1 << 0;
    private const ushort MemoryEnable = 1 << 1;
    private const ushort MasterEnable = 1 << 2;
    private const ushort InterruptDisable = 1 << 10;
    private const byte InterruptStatus = 1 << 3;
    private const byte CapabilitiesListStatus = 1 << 4;

    private readonly ILock _gate;
    private readonly byte[] _configuration = new byte[ConfigurationSize];
    private readonly byte[] _initial = new byte[ConfigurationSize];
    private readonly byte[] _writable = new byte[ConfigurationSize];
    private readonly PciBar?[] _bars = new PciBar?[BarCount];
    private int _nextCapability = FirstCapability;
    private int _lastCapability;
    private IPciPins? _pins;
    private AddressSpace? _ports;
    private AddressSpace? _mmio;
    private MsixTable? _msix;
    private IRegisterWindow? _trap;
    private int _trapOffset;
    private int _trapLength;
    private int _device;
    private bool _asserted;
    private bool _driven;

    /// <summary>Makes a function with no registers and no capabilities.</summary>
    public PciFunction(ILock gate, PciIdentity identity)
    {
        _gate = gate;
        Put(0x00, identity.VendorId, 2);
        Put(0x02, identity.DeviceId, 2);
        Put(0x08, identity.Revision, 1);
        Put(0x09, identity.ClassCode, 3);
        Put(0x2c, identity.SubsystemVendorId, 2);
        Put(0x2e, identity.SubsystemId, 2);
        Put(InterruptPin, identity.InterruptPin, 1);
        LittleEndian.Put(_writable.AsSpan(Command, 2), CommandBits);
        _writable[0x0c] = 0xff; // Cache line size.
        _writable[InterruptLine] = 0xff;
    }

    /// <summary>Whether the guest lets the function read and write memory. A device looks before each access.</summary>
    public bool IsBusMaster => (CommandRegister & MasterEnable) != 0;

    /// <summary>Told when <see cref="IsBusMaster"/> becomes true; null for nobody. Before the function is put on a bus.</summary>
    public IBusMasterTarget? MasterTarget { get; set; }

    private ushort CommandRegister => (ushort)(_configuration[Command] | (_configuration[Command + 1] << 8));

    /// <summary>Adds a base address register. Before the function is put on a bus.</summary>
    /// <param name="index">0 to 5; a 64-bit one takes the next, too.</param>
    /// <param name="kind">Kind.</param>
    /// <param name="length">A power of two; at least 4 ports or 16 bytes of memory.</param>
    /// <param name="window">Who answers there.</param>
    /// <param name="name">What the range is called in listings.</param>
    public void AddBar(int index, PciBarKind kind, ulong length, IRegisterWindow window, string name)
    {
        PciBar bar = new(index, kind, length, window, name);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, bar.Is64Bit ? BarCount - 1 : BarCount);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, kind == PciBarKind.Io ? 4UL : 16UL);
        if (!BitOperations.IsPow2(length) || _bars[index] is not null)
        {
            throw new ArgumentException($"Base address register {index} is taken, or its length {length} is not a power of two.", nameof(length));
        }

        _bars[index] = bar;
        int offset = FirstBar + (index * 4);
        Put(offset, bar.Flags, 4);
        LittleEndian.Put(_writable.AsSpan(offset, bar.Is64Bit ? 8 : 4), ~(length - 1));
    }

    /// <summary>Gives a base address register of 32 bits the address that firmware would have given it. Before the function is put on a bus.</summary>
    public void SetFirmwareAddress(int index, uint address)
    {
        PciBar bar = _bars[index] ?? throw new ArgumentException($"There is no base address register {index}.", nameof(index));
        Put(FirstBar + (index * 4), address | bar.Flags, 4);
    }

    /// <summary>Adds a capability (PCI 3.0, section 6.7). Before the function is put on a bus.</summary>
    /// <param name="id">Capability identifier.</param>
    /// <param name="body">Its bytes after the identifier and the link.</param>
    /// <param name="writable">Which bits of them the guest can write; as long as <paramref name="body"/>.</param>
    /// <returns>Offset of the identifier.</returns>
    public int AddCapability(byte id, ReadOnlySpan<byte> body, ReadOnlySpan<byte> writable)
    {
        int offset = _nextCapability;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + 2 + body.Length, ConfigurationSize, nameof(body));
        Put(_lastCapability == 0 ? CapabilitiesPointer : _lastCapability + 1, (uint)offset, 1);
        Put(offset, id, 1);
        for (int i = 0; i < body.Length; i++)
        {
            Put(offset + 2 + i, body[i], 1);
            _writable[offset + 2 + i] = writable[i];
        }

        Put(Status, CapabilitiesListStatus, 1);
        _lastCapability = offset;
        _nextCapability = (offset + 2 + body.Length + 3) & ~3;
        return offset;
    }

    /// <summary>Adds MSI-X with its table in a base address register of its own. Before the function is put on a bus.</summary>
    public void AddMsix(int barIndex, MsixTable table, string name)
    {
        AddBar(barIndex, PciBarKind.Memory32, table.WindowLength, table, name);
        Span<byte> body = stackalloc byte[10];
        LittleEndian.Put(body[..2], (ulong)table.VectorCount - 1);
        LittleEndian.Put(body.Slice(2, 4), (ulong)barIndex);
        LittleEndian.Put(body.Slice(6, 4), table.PendingOffset | (uint)barIndex);
        ReadOnlySpan<byte> writable = [0x00, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0];
        int offset = AddCapability(0x11, body, writable);
        table.ControlOffset = offset + 2;
        _msix = table;
    }

    /// <summary>
    /// Has accesses to configuration bytes answered by a window: those that begin within <paramref name="length"/> bytes at <paramref name="offset"/> and do not leave them.
    /// One range a function; before the function is put on a bus.
    /// </summary>
    public void SetTrap(int offset, int length, IRegisterWindow window)
    {
        _trapOffset = offset;
        _trapLength = length;
        _trap = window;
    }

    /// <summary>Copies configuration bytes, as the guest has set them.</summary>
    public void Peek(int offset, Span<byte> data)
    {
        _gate.Enter();
        _configuration.AsSpan(offset, data.Length).CopyTo(data);
        _gate.Exit();
    }

    /// <summary>Drives INTx. Any thread.</summary>
    public void SetInterrupt(bool asserted)
    {
        _gate.Enter();
        _asserted = asserted;
        UpdateInterrupt();
        _gate.Exit();
    }

    /// <summary>The state after power-on.</summary>
    public void Reset()
    {
        _gate.Enter();
        _initial.CopyTo(_configuration, 0);
        _asserted = false;
        UpdateInterrupt();
        UpdateMappings();
        _gate.Exit();
        _msix?.Reset();
    }

    /// <summary>Saves the configuration space and the interrupt in three fields.</summary>
    public void Save(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, _configuration);
        state.Write((ushort)(firstField + 1), _asserted);
        if (_msix is not null)
        {
            _msix.Save(state, (ushort)(firstField + 2));
        }
    }

    /// <summary>Takes them back: of the configuration space only what a guest could have written.</summary>
    public bool Restore(IStateReader state, ushort firstField)
    {
        Span<byte> saved = stackalloc byte[ConfigurationSize];
        bool asserted = false;
        if (!(state.TryTake(firstField, saved) & state.TryTake((ushort)(firstField + 1), ref asserted)))
        {
            return false;
        }

        for (int i = 0; i < ConfigurationSize; i++)
        {
            _configuration[i] = (byte)((_initial[i] & ~_writable[i]) | (saved[i] & _writable[i]));
        }

        _asserted = asserted;
        bool driven = ShouldDrive;
        SetInterruptStatus();
        if (driven != _driven)
        {
            _driven = driven;
            _pins?.RestorePin(_device, _configuration[InterruptPin] - 1, driven);
        }

        UpdateMappings();
        bool valid = _msix is null || _msix.Restore(state, (ushort)(firstField + 2));
        UpdateMsix(deliver: false);
        return valid;
    }

    /// <summary>Puts the function on a bus, which drives the pins and whose devices answer in these spaces. By the bus, before the machine starts.</summary>
    public void Attach(IPciPins pins, int device, AddressSpace ports, AddressSpace mmio)
    {
        _pins = pins;
        _device = device;
        _ports = ports;
        _mmio = mmio;
        foreach (PciBar? bar in _bars)
        {
            if (bar is not null)
            {
                bar.Mapping = (bar.Kind == PciBarKind.Io ? ports : mmio).Map(bar.Name, 0, bar.Length, bar.Window, enabled: false);
            }
        }

        UpdateMappings();
    }

    /// <summary>Takes the function off its bus: its registers answer no more, and its pin is not driven. By the bus.</summary>
    public void Detach()
    {
        _gate.Enter();
        _asserted = false;
        UpdateInterrupt();
        foreach (PciBar? bar in _bars)
        {
            if (bar?.Mapping is { } mapping)
            {
                (bar.Kind == PciBarKind.Io ? _ports : _mmio)?.Unmap(mapping);
                bar.Mapping = null;
            }
        }

        _pins = null;
        _gate.Exit();
    }

    /// <summary>Says in the header that the device has more functions. By the bus.</summary>
    public void MarkMultifunction() => Put(HeaderType, 0x80, 1);

    /// <summary>A configuration read by the guest: any offset; what leaves the space reads as ones.</summary>
    public void ReadConfiguration(int offset, Span<byte> data)
    {
        // Not with the lock held: the window's device has a lock of its own, and drives interrupts under it.
        if (IsTrapped(offset, data.Length))
        {
            if (_trap!.Read((ulong)(offset - _trapOffset), data) != AccessResult.Done)
            {
                data.Fill(0xff);
            }

            return;
        }

        _gate.Enter();
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = offset + i < ConfigurationSize ? _configuration[offset + i] : (byte)0xff;
        }

        _gate.Exit();
    }

    /// <summary>A configuration write by the guest: what is not writable stays.</summary>
    public void WriteConfiguration(int offset, ReadOnlySpan<byte> data)
    {
        if (IsTrapped(offset, data.Length))
        {
            _trap!.Write((ulong)(offset - _trapOffset), data);
            return;
        }

        _gate.Enter();
        bool moved = false;
        bool wasMaster = IsBusMaster;
        for (int i = 0; i < data.Length && offset + i < ConfigurationSize; i++)
        {
            int at = offset + i;
            byte value = (byte)((_configuration[at] & ~_writable[at]) | (data[i] & _writable[at]));
            moved |= value != _configuration[at] && (at is Command or Command + 1 or (>= FirstBar and < FirstBar + (BarCount * 4)));
            _configuration[at] = value;
        }

        if (moved)
        {
            UpdateInterrupt();
            UpdateMappings();
        }

        UpdateMsix(deliver: true);
        bool becomesMaster = !wasMaster && IsBusMaster;
        _gate.Exit();
        if (becomesMaster)
        {
            MasterTarget?.OnBusMaster();
        }
    }

    private bool ShouldDrive => _asserted && _configuration[InterruptPin] != 0 && (CommandRegister & InterruptDisable) == 0;

    private bool IsTrapped(int offset, int length) => _trap is not null && offset >= _trapOffset && offset + length <= _trapOffset + _trapLength;

    private void Put(int offset, uint value, int length)
    {
        LittleEndian.Put(_initial.AsSpan(offset, length), value);
        LittleEndian.Put(_configuration.AsSpan(offset, length), value);
    }

    private void SetInterruptStatus()
    {
        _configuration[Status] = (byte)((_configuration[Status] & ~InterruptStatus) | (_asserted ? InterruptStatus : 0));
    }

    private void UpdateInterrupt()
    {
        SetInterruptStatus();
        bool driven = ShouldDrive;
        if (driven != _driven)
        {
            _driven = driven;
            _pins?.SetPin(_device, _configuration[InterruptPin] - 1, driven);
        }
    }

    private void UpdateMsix(bool deliver)
    {
        if (_msix is not null)
        {
            _msix.SetControl(_configuration[_msix.ControlOffset + 1], deliver);
        }
    }

    // A register that holds 0 has no address yet, whatever the command register says.
    private void UpdateMappings()
    {
        if (_ports is null || _mmio is null)
        {
            return;
        }

        foreach (PciBar? bar in _bars)
        {
            if (bar?.Mapping is not { } mapping)
            {
                continue;
            }

            int offset = FirstBar + (bar.Index * 4);
            ulong address = LittleEndian.Get(_configuration.AsSpan(offset, bar.Is64Bit ? 8 : 4)) & ~(bar.Length - 1);
            bool io = bar.Kind == PciBarKind.Io;
            bool enabled = address != 0 && (CommandRegister & (io ? IoEnable : MemoryEnable)) != 0;
            if (mapping.Enabled != enabled || (enabled && mapping.Address != address))
            {
                (io ? _ports : _mmio).Update(mapping, enabled ? address : mapping.Address, enabled);
            }
        }
    }
}
