namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>What the adapter says of a request (enum HostBusAdapterStatus).</summary>
internal enum HostStatus : ushort
{
    Success = 0x00,
    SelectionTimeout = 0x11,
    InvalidParameter = 0x1a,
}
