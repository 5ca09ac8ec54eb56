using System.Buffers.Binary;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>physdev_op, as far as HVM domains have it: physical interrupts of devices. PVH domains do not have it.</summary>
internal sealed class PhysicalDeviceOperations(XenDomain domain)
{
    private const uint QueryStatus = 5;
    private const uint EndOfInterrupt = 12;
    private const uint Map = 13;
    private const uint Unmap = 14;
    private const uint GetFree = 23;
    private const int MapLength = 40;
    private const int TypeMessage = 0;
    private const int TypeInterrupt = 1;
    private const uint NeedsEnd = 1;

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        int length = arguments.Command switch
        {
            EndOfInterrupt => 4,
            QueryStatus or Unmap or GetFree => 8,
            Map => MapLength,
            _ => 0,
        };
        Span<byte> argument = stackalloc byte[MapLength];
        argument = argument[..length];
        if (length == 0 || !domain.HasPhysicalInterrupts)
        {
            return XenError.NoSuchCall;
        }

        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        domain.Gate.Enter();
        long result = Execute(arguments.Command, argument);
        domain.Gate.Exit();
        bool answers = result >= 0 && arguments.Command is QueryStatus or Map or GetFree;
        return answers && !arguments.TryWrite(arguments.Second, argument) ? XenError.BadAddress : result;
    }

    private long Execute(uint command, Span<byte> argument)
    {
        Interrupts.PhysicalInterrupts interrupts = domain.PhysicalInterrupts;
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        switch (command)
        {
            case EndOfInterrupt:
                return interrupts.End(first);
            case QueryStatus:
                // Guests that do not look at a page of these bits are to end every one.
                BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], NeedsEnd);
                return interrupts.IsMapped(first) ? 0 : XenError.InvalidArgument;
            case Unmap:
                return DomainId.IsGuest((ushort)first) ? interrupts.Unmap(BinaryPrimitives.ReadInt32LittleEndian(argument[4..])) : XenError.NoSuchProcess;
            case GetFree:
                long free = (int)first is TypeMessage or TypeInterrupt ? interrupts.Take() : XenError.InvalidArgument;
                BinaryPrimitives.WriteInt32LittleEndian(argument[4..], (int)free);
                return Math.Min(free, 0);
            default:
                return DomainId.IsGuest((ushort)first) ? MapInterrupt(argument) : XenError.NoSuchProcess;
        }
    }

    // Messages are mapped by their first one, those of devices that are handed through by the control domain.
    private long MapInterrupt(Span<byte> argument)
    {
        const int TypeOffset = 4;
        const int IndexOffset = 8;
        const int NumberOffset = 12;
        int number = BinaryPrimitives.ReadInt32LittleEndian(argument[NumberOffset..]);
        long result = BinaryPrimitives.ReadInt32LittleEndian(argument[TypeOffset..]) == TypeInterrupt
            ? domain.PhysicalInterrupts.Map(BinaryPrimitives.ReadInt32LittleEndian(argument[IndexOffset..]), ref number) : XenError.InvalidArgument;
        BinaryPrimitives.WriteInt32LittleEndian(argument[NumberOffset..], number);
        return result;
    }
}
