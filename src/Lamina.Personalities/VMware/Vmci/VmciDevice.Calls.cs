using System.Buffers.Binary;

namespace Lamina.Personalities.VMware.Vmci;

/// <content>What a guest asks the hypervisor for, and whom its datagrams reach.</content>
public sealed partial class VmciDevice
{
    private const int MaximumQueried = 31;
    private const uint AttachOnly = 1;
    private const uint KnownFlags = 0xf;
    private const int PageShift = 12;
    private const int QueuePairHeader = 40;
    private bool _isCalled;

    private static bool IsKnown(uint resource) => (VmciCall)resource switch
    {
        VmciCall.ResourcesQuery or VmciCall.GetContextId or VmciCall.SetNotifyBitmap or VmciCall.DoorbellLink or VmciCall.DoorbellUnlink or VmciCall.DoorbellNotify
            or VmciCall.EventSubscribe or VmciCall.EventUnsubscribe or VmciCall.QueuePairAllocate or VmciCall.QueuePairDetach => true,
        _ => false,
    };

    // Linux turns the function's access to memory off while it suspends itself, and gives up the queue pairs of sockets that are closed then all the same. It does not try again: a call is executed whatever the function
    // may do by itself.
    private int Execute(in VmciDatagram header, ReadOnlySpan<byte> message)
    {
        _isCalled = true;
        int result = IsRunning ? ExecuteCall(header, message) : (int)VmciResult.NoAccess;
        _isCalled = false;
        return result;
    }

    private int ExecuteCall(in VmciDatagram header, ReadOnlySpan<byte> message)
    {
        ReadOnlySpan<byte> payload = message[VmciDatagram.HeaderLength..];

        if (header.Destination.Context == VmciHandle.Hypervisor)
        {
            return Call((VmciCall)header.Destination.Resource, payload);
        }

        if (header.Destination != new VmciHandle(VmciHandle.Host, SocketPacket.Resource))
        {
            return (int)VmciResult.InvalidResource;
        }

        if (message.Length < SocketPacket.Length)
        {
            return (int)VmciResult.InvalidArguments;
        }

        _sockets.Take(message);
        return message.Length;
    }

    private int Call(VmciCall call, ReadOnlySpan<byte> payload)
    {
        switch (call)
        {
            case VmciCall.ResourcesQuery:
                return Query(payload);
            case VmciCall.GetContextId:
                return (int)_guest;
            case VmciCall.EventSubscribe or VmciCall.EventUnsubscribe:
                // All guests are told of all that happens to them.
                return (int)VmciResult.Success;
            case VmciCall.SetNotifyBitmap when payload.Length >= sizeof(ulong):
                ulong frame = HasWidePages ? BinaryPrimitives.ReadUInt64LittleEndian(payload) : BinaryPrimitives.ReadUInt32LittleEndian(payload);
                return (int)(frame <= ulong.MaxValue >> PageShift ? _doorbells.SetPage(frame << PageShift) : VmciResult.InvalidArguments);
            case VmciCall.QueuePairAllocate when payload.Length >= QueuePairHeader:
                return (int)Allocate(payload);
            case VmciCall.QueuePairDetach when payload.Length >= VmciHandle.Length:
                // A guest that hears of an error keeps the pages for good, and nobody here has pages of a queue pair that is not known.
                _sockets.Detach(VmciHandle.Read(payload));
                return (int)VmciResult.LastDetach;
            case VmciCall.DoorbellLink or VmciCall.DoorbellUnlink or VmciCall.DoorbellNotify when payload.Length >= VmciHandle.Length + (call == VmciCall.DoorbellLink ? sizeof(ulong) : 0):
                return (int)UseDoorbell(call, VmciHandle.Read(payload), payload[VmciHandle.Length..]);
            default:
                return (int)(IsKnown((uint)call) ? VmciResult.InvalidArguments : VmciResult.InvalidResource);
        }
    }

    private bool HasWidePages => (_capabilities & VmciRegister.CapabilityWidePages) != 0;

    private static int Query(ReadOnlySpan<byte> payload)
    {
        const int List = 8;
        if (payload.Length < List)
        {
            return (int)VmciResult.InvalidArguments;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        if (count > MaximumQueried || payload.Length < List + ((int)count * sizeof(uint)))
        {
            return (int)VmciResult.InvalidArguments;
        }

        int known = 0;
        for (int i = 0; i < (int)count; i++)
        {
            known |= IsKnown(BinaryPrimitives.ReadUInt32LittleEndian(payload[(List + (i * sizeof(uint)))..])) ? 1 << i : 0;
        }

        return known;
    }

    private VmciResult Allocate(ReadOnlySpan<byte> payload)
    {
        VmciHandle handle = VmciHandle.Read(payload);
        uint peer = BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]);
        ulong produced = BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]);
        ulong consumed = BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]);
        ulong frames = BinaryPrimitives.ReadUInt64LittleEndian(payload[32..]);
        ReadOnlySpan<byte> list = payload[QueuePairHeader..];
        int width = HasWidePages ? sizeof(ulong) : sizeof(uint);
        if (peer != VmciHandle.Host || (flags & ~KnownFlags) != 0)
        {
            return peer != VmciHandle.Host ? VmciResult.NoAccess : VmciResult.InvalidArguments;
        }

        if (produced != consumed || produced > QueuePair.MaximumLength)
        {
            // Nobody here has a use for such.
            return VmciResult.NoResources;
        }

        return frames <= QueuePair.MaximumPages && list.Length == (int)frames * width
            ? _sockets.Allocate(handle, (flags & AttachOnly) != 0, (uint)produced, list, width)
            : VmciResult.InvalidArguments;
    }

    private VmciResult UseDoorbell(VmciCall call, VmciHandle handle, ReadOnlySpan<byte> rest)
    {
        if (handle.Context != _guest)
        {
            return VmciResult.NotFound;
        }

        switch (call)
        {
            case VmciCall.DoorbellLink:
                return _doorbells.Link(handle, BinaryPrimitives.ReadUInt64LittleEndian(rest));
            case VmciCall.DoorbellUnlink:
                return _doorbells.Unlink(handle);
            default:
                VmciResult result = _doorbells.Ring(handle);
                if (result == VmciResult.Success)
                {
                    Interrupt(VmciRegister.Notification);
                }

                return result;
        }
    }
}
