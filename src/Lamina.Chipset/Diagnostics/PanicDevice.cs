using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Chipset.Diagnostics;

/// <summary>
/// Panic notification port, the ISA form of the pvpanic device (QEMU's documentation, "pvpanic device"): reading gives the events that it understands, writing
/// reports some. The DSDT describes it with hardware id QEMU0001.
/// </summary>
public sealed class PanicDevice : IDevice, IBytePorts
{
    private const PanicEvents Supported = PanicEvents.Panicked | PanicEvents.CrashLoaded;

    private readonly IPlatformEvents _events;

    /// <summary>Makes it.</summary>
    public PanicDevice(string name, IPlatformEvents events)
    {
        Name = name;
        _events = events;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps port 0x505.</summary>
    public void Map(AddressSpace ports) => ports.Map(Name, PcAddressMap.Panic, 1, new BytePortWindow(this, 0));

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
    }

    /// <inheritdoc/>
    /// <remarks>There is nothing to save.</remarks>
    public void Save(IStateWriter state)
    {
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state) => true;

    byte IBytePorts.ReadPort(int register) => (byte)Supported;

    void IBytePorts.WritePort(int register, byte value)
    {
        PanicEvents events = (PanicEvents)value & Supported;
        if (events != PanicEvents.None)
        {
            _events.Panicked(events);
        }
    }
}
