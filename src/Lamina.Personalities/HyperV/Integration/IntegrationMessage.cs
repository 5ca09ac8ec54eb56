namespace Lamina.Personalities.HyperV.Integration;

/// <summary>Messages of integration services (Linux, include/linux/hyperv.h, ICMSGTYPE).</summary>
internal enum IntegrationMessage : ushort
{
    Negotiate = 0,
    Heartbeat = 1,
    KeyValueExchange = 2,
    Shutdown = 3,
    TimeSync = 4,
}
