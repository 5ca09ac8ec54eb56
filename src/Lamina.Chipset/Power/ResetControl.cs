using Lamina.Machine;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Power;

/// <summary>
/// Reset control register (0xcf9, Intel ICH9 datasheet, section 13.7.5), also the ACPI reset register with the value 6. Mapped by the PCI host bridge,
/// among whose ports it lies.
/// </summary>
public sealed class ResetControl : IDevice
{
    private const byte ResetProcessor = 0x04;
    private const byte WritableBits = 0x0e;

    private readonly ILock _gate;
    private readonly IPlatformEvents _events;
    private byte _value;

    /// <summary>Makes it, in the state after power-on.</summary>
    public ResetControl(string name, ILock gate, IPlatformEvents events)
    {
        Name = name;
        _gate = gate;
        _events = events;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The register. The change of RST_CPU from 0 to 1 resets the machine, whatever the kind of reset asked for.</summary>
    internal byte Value
    {
        get => _value;
        set
        {
            _gate.Enter();
            bool reset = (value & ~_value & ResetProcessor) != 0;
            _value = (byte)(value & WritableBits);
            _gate.Exit();
            if (reset)
            {
                _events.Reset();
            }
        }
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
    public void Reset() => _value = 0;

    /// <inheritdoc/>
    public void Save(IStateWriter state) => state.Write(1, _value);

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => state.TryTake(1, WritableBits, ref _value) && (_value & ~WritableBits) == 0;
}
