using Lamina.Chipset.Power;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Pci;

namespace Lamina.Chipset.Pci;

/// <summary>
/// Host bridge: function 0:0.0, the configuration ports and the configuration window. The identity (8086:0d57) is one that no operating system has
/// workarounds for. There is no bridge for the ISA devices: ACPI describes them.
/// </summary>
public sealed class PciHostBridge : IDevice
{
    private readonly PciFunction _function;
    private readonly PciConfigurationPorts _ports;
    private readonly PciConfigurationWindow _window;

    /// <summary>Makes it and puts it on the bus.</summary>
    public PciHostBridge(string name, ILock gate, PciBus bus, ResetControl resetControl)
    {
        Name = name;
        _function = new PciFunction(gate, new PciIdentity(0x8086, 0x0d57, 0x06_0000));
        _ports = new PciConfigurationPorts(bus, resetControl);
        _window = new PciConfigurationWindow(bus);
        bus.Attach(0, 0, _function);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Maps the configuration ports (with the reset control register among them) and the configuration window.</summary>
    public void Map(AddressSpace ports, AddressSpace mmio)
    {
        ports.Map(Name, PcAddressMap.PciConfiguration, 8, _ports);
        mmio.Map(Name, PcAddressMap.PciConfigurationWindow, PcAddressMap.PciConfigurationWindowLength, _window);
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
    public void Reset()
    {
        _ports.Address = 0;
        _function.Reset();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _ports.Address);
        _function.Save(state, 10);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        uint address = 0;
        if (!state.TryTake(1, ref address) || !PciConfigurationPorts.IsAddress(address))
        {
            return false;
        }

        _ports.Address = address;
        return _function.Restore(state, 10);
    }
}
