using System.Buffers.Binary;
using Lamina.Virtio.Queue;

namespace Lamina.Virtio.Network;

/// <content>What the driver asks for through the control queue (virtio 1.2, section 5.1.6.5). What is not known, not agreed on, or of another length than it should have, is refused.</content>
public sealed partial class NetworkDevice
{
    private const byte Accepted = 0;
    private const byte Refused = 1;
    private const byte ReceiveClass = 0;
    private const byte AddressClass = 1;
    private const byte PairsClass = 4;
    private const byte OffloadsClass = 5;
    private const int HeadLength = 2;
    private const int PairsLength = 4;
    private const int OffloadsLength = 10;

    private readonly DescriptorChain _control;

    private void Control(Virtqueue queue)
    {
        Span<byte> command = stackalloc byte[OffloadsLength];
        do
        {
            while (queue.Pop(_control))
            {
                int length = _control.Read(0, command);
                _control.Write(0, [Execute(command[..length], _control.ReadableLength)]);
                queue.Push(_control, 1);
            }
        }
        while (queue.EnableNotifications());

        Publish(queue);
    }

    // The beginning of a command, which may have more: class, number, and what belongs to it.
    private byte Execute(ReadOnlySpan<byte> command, ulong length)
    {
        if (length < HeadLength)
        {
            return Refused;
        }

        switch ((command[0], command[1]))
        {
            case (ReceiveClass, _) or (AddressClass, 0) when Has(NetworkFeatures.ControlReceive):
                // Modes and filters: every packet of the wire comes anyway.
                return Accepted;
            case (PairsClass, 0) when length == PairsLength && Has(NetworkFeatures.Multiqueue):
                int wanted = BinaryPrimitives.ReadUInt16LittleEndian(command[HeadLength..]);
                if (wanted == 0 || wanted > _pairs.Length)
                {
                    return Refused;
                }

                SetActivePairs(wanted);
                return Accepted;
            case (OffloadsClass, 0) when length == OffloadsLength && Has(NetworkFeatures.ControlGuestOffloads):
                ulong offloads = BinaryPrimitives.ReadUInt64LittleEndian(command[HeadLength..]);
                if ((offloads & ~Features) != 0)
                {
                    return Refused;
                }

                _guestOffloads = offloads;
                SetReceiveOffloads(offloads);
                return Accepted;
            default:
                return Refused;
        }
    }

    private void SetActivePairs(int count)
    {
        int before = _activePairs;
        _activePairs = count;
        EnableLines();
        for (int i = Math.Min(before, count); i < Math.Max(before, count); i++)
        {
            // What waits goes out, or vanishes.
            Transmit(_pairs[i]);
            _pairs[i].ReceiverWaits = false;
            _pairs[i].Line.ResumeReceive();
        }
    }
}
