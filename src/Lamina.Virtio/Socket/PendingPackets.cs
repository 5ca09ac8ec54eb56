namespace Lamina.Virtio.Socket;

/// <summary>Packets that a connection owes the guest.</summary>
[Flags]
internal enum PendingPackets : byte
{
    None = 0,
    Request = 1,
    Response = 2,
    Credit = 4,
}
