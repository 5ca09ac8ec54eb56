namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>Steps of a message, in the upper half of ECX (open-vm-tools, lib/include/guest_msg_def.h).</summary>
internal enum MessageType : ushort
{
    Open = 0,
    SendSize = 1,
    SendPayload = 2,
    ReceiveSize = 3,
    ReceivePayload = 4,
    ReceiveStatus = 5,
    Close = 6,
}
