using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// The two cascaded 8259A of the PC with their edge/level control registers. The output goes to LINT0 of every local APIC and, by the
/// <see cref="InterruptRouter"/>, to input 0 of the I/O APIC.
/// </summary>
public sealed class PicPair : IDevice, IBytePorts
{
    private const int PrimaryPorts = 0;
    private const int SecondaryPorts = 2;
    private const int EdgeLevelPorts = 4;

    private readonly ILock _gate;
    private readonly ApicBus _bus;
    private readonly Pic8259 _primary = new(primary: true);
    private readonly Pic8259 _secondary = new(primary: false);
    private IoApic? _ioApic;

    /// <summary>Makes it, in the state after power-on (all masked), and attaches it to the bus.</summary>
    public PicPair(string name, ILock gate, ApicBus bus)
    {
        Name = name;
        _gate = gate;
        _bus = bus;
        Reset();
        bus.Attach(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps ports 0x20, 0xa0 and 0x4d0, two each.</summary>
    public void Map(AddressSpace ports)
    {
        ports.Map(Name, PcAddressMap.PrimaryPic, 2, new BytePortWindow(this, PrimaryPorts));
        ports.Map(Name, PcAddressMap.SecondaryPic, 2, new BytePortWindow(this, SecondaryPorts));
        ports.Map(Name, PcAddressMap.EdgeLevelControl, 2, new BytePortWindow(this, EdgeLevelPorts));
    }

    /// <summary>Drives one of the 16 inputs; input 2 is the cascade and has no wire. Any thread.</summary>
    public void SetLine(int input, bool asserted)
    {
        if ((uint)input >= 16 || input == Pic8259.CascadeInput)
        {
            return;
        }

        _gate.Enter();
        (input < 8 ? _primary : _secondary).SetLine(input & 7, asserted);
        Update();
        _gate.Exit();
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
        _primary.Reset();
        _secondary.Reset();
        Update();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        _primary.Save(state, 1);
        _secondary.Save(state, 21);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = _primary.Restore(state, 1) & _secondary.Restore(state, 21);
        if (valid)
        {
            _bus.RestoreExternalInterrupt(_primary.Output);
        }

        return valid;
    }

    byte IBytePorts.ReadPort(int register)
    {
        _gate.Enter();
        byte value = register switch
        {
            PrimaryPorts => ReadPrimary(data: false),
            PrimaryPorts + 1 => ReadPrimary(data: true),
            SecondaryPorts => ReadSecondary(data: false),
            SecondaryPorts + 1 => ReadSecondary(data: true),
            EdgeLevelPorts => _primary.EdgeLevel,
            _ => _secondary.EdgeLevel,
        };
        Update();
        _gate.Exit();
        return value;
    }

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        switch (register)
        {
            case PrimaryPorts:
                _primary.WriteCommandPort(value);
                break;
            case PrimaryPorts + 1:
                _primary.WriteDataPort(value);
                break;
            case SecondaryPorts:
                _secondary.WriteCommandPort(value);
                break;
            case SecondaryPorts + 1:
                _secondary.WriteDataPort(value);
                break;
            case EdgeLevelPorts:
                _primary.EdgeLevel = value;
                break;
            default:
                _secondary.EdgeLevel = value;
                break;
        }

        Update();
        _gate.Exit();
    }

    /// <summary>Writes down its state for an accelerator.</summary>
    internal void HandOver(LineControllerState state)
    {
        _gate.Enter();
        state.Pics[0] = _primary.HandOver();
        state.Pics[1] = _secondary.HandOver();
        DriveOutput(false);
        _gate.Exit();
    }

    /// <summary>Takes an accelerator's.</summary>
    internal void TakeBack(LineControllerState state)
    {
        _gate.Enter();
        _primary.TakeBack(state.Pics[0]);
        _secondary.TakeBack(state.Pics[1]);
        Update();
        _gate.Exit();
    }

    /// <summary>INTA from a processor.</summary>
    internal byte Acknowledge()
    {
        _gate.Enter();
        int input = _primary.Acknowledge();
        byte vector = _primary.VectorOf(input);
        if (input == Pic8259.CascadeInput)
        {
            vector = _secondary.VectorOf(_secondary.Acknowledge());
            SecondaryAcknowledged();
        }

        DriveOutput(false);
        Update();
        _gate.Exit();
        return vector;
    }

    internal void Attach(IoApic ioApic) => _ioApic = ioApic;

    private byte ReadPrimary(bool data)
    {
        byte value = data ? _primary.ReadDataPort(out bool acknowledged) : _primary.ReadCommandPort(out acknowledged);
        if (acknowledged)
        {
            DriveOutput(false);
        }

        return value;
    }

    private byte ReadSecondary(bool data)
    {
        byte value = data ? _secondary.ReadDataPort(out bool acknowledged) : _secondary.ReadCommandPort(out acknowledged);
        if (acknowledged)
        {
            SecondaryAcknowledged();
        }

        return value;
    }

    // INT falls at each acknowledge, so that a further request makes a new edge at the primary.
    private void SecondaryAcknowledged() => _primary.SetLine(Pic8259.CascadeInput, false);

    private void Update()
    {
        _primary.SetLine(Pic8259.CascadeInput, _secondary.Output);
        DriveOutput(_primary.Output);
    }

    private void DriveOutput(bool asserted)
    {
        _bus.SetExternalInterrupt(asserted);
        _ioApic?.SetPin(0, asserted);
    }
}
