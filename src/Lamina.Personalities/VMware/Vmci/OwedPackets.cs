namespace Lamina.Personalities.VMware.Vmci;

/// <summary>What a connection owes the guest, in the order in which that is told.</summary>
[Flags]
internal enum OwedPackets : ushort
{
    None = 0,
    Request = 1 << 0,
    Negotiate = 1 << 1,
    Offer = 1 << 2,
    AttachEvent = 1 << 3,
    Attach = 1 << 4,
    Wrote = 1 << 5,
    Read = 1 << 6,
    Shutdown = 1 << 7,
    DetachEvent = 1 << 8,
    Reset = 1 << 9,
}
