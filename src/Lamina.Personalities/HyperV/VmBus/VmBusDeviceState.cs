using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>The record of a device on the bus, which starts, stops and resets it.</summary>
internal sealed class VmBusDeviceState(VmBusController bus, IVmBusDevice device) : IDevice
{
    /// <inheritdoc/>
    public string Name => device.Name;

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
        bus.Reset(device);
        (device as IResetTarget)?.OnReset();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state) => device.Save(state);

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bus.Gate.Enter();
        bool valid = device.Restore(state);
        bus.Gate.Exit();
        return valid;
    }
}
