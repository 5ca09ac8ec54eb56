namespace Lamina.Personalities.VMware.Vmci;

/// <summary>What a control packet of a socket says (Linux, net/vmw_vsock/vmci_transport.h).</summary>
internal enum SocketPacketType : byte
{
    Invalid = 0,
    Request = 1,
    Negotiate = 2,
    Offer = 3,
    Attach = 4,
    Wrote = 5,
    Read = 6,
    Reset = 7,
    Shutdown = 8,
    WaitingWrite = 9,
    WaitingRead = 10,
    Request2 = 11,
    Negotiate2 = 12,
}
