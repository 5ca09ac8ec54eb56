namespace Lamina.Virtio.Network;

/// <summary>Feature bits (virtio 1.2, section 5.1.3).</summary>
internal static class NetworkFeatures
{
    public const ulong Checksum = 1UL << 0;
    public const ulong GuestChecksum = 1UL << 1;
    public const ulong ControlGuestOffloads = 1UL << 2;
    public const ulong Mtu = 1UL << 3;
    public const ulong Mac = 1UL << 5;
    public const ulong GuestTcp4 = 1UL << 7;
    public const ulong GuestTcp6 = 1UL << 8;
    public const ulong HostTcp4 = 1UL << 11;
    public const ulong HostTcp6 = 1UL << 12;
    public const ulong MergeableBuffers = 1UL << 15;
    public const ulong Status = 1UL << 16;
    public const ulong ControlQueue = 1UL << 17;
    public const ulong ControlReceive = 1UL << 18;
    public const ulong Multiqueue = 1UL << 22;
}
