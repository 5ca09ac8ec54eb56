using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Power;

/// <summary>
/// System control port A (0x92, IBM PS/2 hardware interface technical reference): bit 0 going from 0 to 1 resets the machine, bit 1 is the fast A20 gate. The
/// gate is a bit that can be read back; address line 20 is always open.
/// </summary>
public sealed class SystemControlPort : IDevice, IBytePorts
{
    private const byte FastReset = 0x01;
    private const byte FastA20 = 0x02;

    private readonly ILock _gate;
    private readonly IPlatformEvents _events;
    private byte _value = FastA20;

    /// <summary>Makes it, in the state after power-on.</summary>
    public SystemControlPort(string name, ILock gate, IPlatformEvents events)
    {
        Name = name;
        _gate = gate;
        _events = events;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps port 0x92.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.SystemControlA, 1, new BytePortWindow(this, 0));

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset() => _value = FastA20;

    /// <inheritdoc/>
    public void Save(IStateWriter state) => state.Write(1, _value);

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => state.TryTake(1, FastReset | FastA20, ref _value);

    byte IBytePorts.ReadPort(int register) => _value;

    void IBytePorts.WritePort(int register, byte value)
    {
        _gate.Enter();
        bool reset = (value & ~_value & FastReset) != 0;
        _value = (byte)(value & (FastReset | FastA20));
        _gate.Exit();
        if (reset)
        {
            _events.Reset();
        }
    }
}
