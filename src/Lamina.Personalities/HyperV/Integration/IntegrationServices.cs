using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>The services of a machine, put on its bus after its devices.</summary>
/// <param name="bus">The bus.</param>
public sealed class IntegrationServices(VmBusController bus)
{
    /// <summary>Asks the guest to stop.</summary>
    public ShutdownService Shutdown { get; } = new(bus);

    /// <summary>Asks whether it lives.</summary>
    public HeartbeatService Heartbeat { get; } = new(bus);

    /// <summary>Tells it the time.</summary>
    public TimeSyncService TimeSync { get; } = new(bus);

    /// <summary>Asks what it is.</summary>
    public KeyValueService KeyValues { get; } = new(bus);
}
