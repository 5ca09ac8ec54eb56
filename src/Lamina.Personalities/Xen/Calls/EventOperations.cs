using System.Buffers.Binary;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>event_channel_op.</summary>
internal sealed class EventOperations(XenDomain domain)
{
    private const uint BindInterdomain = 0;
    private const uint BindVirq = 1;
    private const uint BindPirq = 2;
    private const uint CloseChannel = 3;
    private const uint Send = 4;
    private const uint Status = 5;
    private const uint AllocateUnbound = 6;
    private const uint BindIpi = 7;
    private const uint BindProcessor = 8;
    private const uint Unmask = 9;
    private const uint ResetAll = 10;
    private const uint InitializeControl = 11;
    private const uint ExpandArray = 12;
    private const uint SetPriority = 13;
    private const int LongestArgument = 24;

    /// <summary>Executes one.</summary>
    internal long Execute(in CallArguments arguments)
    {
        int length = GetLength(arguments.Command);
        Span<byte> argument = stackalloc byte[LongestArgument];
        argument.Clear();
        if (length == 0)
        {
            return XenError.NoSuchCall;
        }

        if (!arguments.TryRead(arguments.Second, argument[..length]))
        {
            return XenError.BadAddress;
        }

        IEventTarget? target = null;
        domain.Gate.Enter();
        long result = Execute(arguments, argument, ref target);
        domain.Gate.Exit();
        target?.OnEvent();
        return result;
    }

    private static int GetLength(uint command) => command switch
    {
        CloseChannel or Send or Unmask => 4,
        ResetAll => 2,
        AllocateUnbound or BindIpi or BindProcessor or SetPriority or ExpandArray => 8,
        BindVirq or BindPirq or BindInterdomain => 12,
        Status or InitializeControl => 24,
        _ => 0,
    };

    private long Execute(in CallArguments arguments, Span<byte> argument, ref IEventTarget? target)
    {
        EventChannels events = domain.Events;
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        uint second = BinaryPrimitives.ReadUInt32LittleEndian(argument[4..]);
        uint port;
        long result;
        switch (arguments.Command)
        {
            case CloseChannel:
                return events.Close(first);
            case Send:
                return events.Send(first, out target);
            case Unmask:
                return events.Unmask(first);
            case BindProcessor:
                return events.BindProcessor(first, second);
            case SetPriority:
                return events.SetPriority(first, second);
            case ExpandArray:
                return events.ExpandArray(BinaryPrimitives.ReadUInt64LittleEndian(argument));
            case Status:
                return GetStatus(arguments, argument, (ushort)first, second);
            case AllocateUnbound:
                if (!DomainId.IsGuest((ushort)first))
                {
                    return XenError.NotPermitted;
                }

                result = events.AllocateUnbound((ushort)(first >> 16), out port);
                return Answer(arguments, result, port, 4);
            case BindVirq:
                result = events.BindVirq(first, second, out port);
                return Answer(arguments, result, port, 8);
            case BindPirq:
                result = events.BindPirq(first, out port);
                return Answer(arguments, result, port, 8);
            case BindIpi:
                result = events.BindIpi(first, out port);
                return Answer(arguments, result, port, 4);
            case InitializeControl:
                uint offset = BinaryPrimitives.ReadUInt32LittleEndian(argument[8..]);
                result = events.InitializeControl(BinaryPrimitives.ReadUInt32LittleEndian(argument[12..]), BinaryPrimitives.ReadUInt64LittleEndian(argument), offset);
                return result == 0 && !arguments.TryWrite(arguments.Second + 16, [FifoEvents.LinkBits]) ? XenError.BadAddress : result;
            default:
                // The control domain has no channels that wait for the guest, and what a toolstack has set up is not to be forgotten.
                return XenError.NotPermitted;
        }
    }

    // What the guest is not told of is closed again.
    private long Answer(in CallArguments arguments, long result, uint port, int offset)
    {
        if (result == 0 && !arguments.TryWrite(arguments.Second + (uint)offset, port))
        {
            domain.Events.Close(port);
            return XenError.BadAddress;
        }

        return result;
    }

    private long GetStatus(in CallArguments arguments, Span<byte> argument, ushort owner, uint port)
    {
        const int StatusOffset = 8;
        if (!DomainId.IsGuest(owner))
        {
            return XenError.NotPermitted;
        }

        if (port >= domain.Events.Limit)
        {
            return XenError.InvalidArgument;
        }

        domain.Events.TryGet(port, out EventPort state);
        argument[StatusOffset..].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(argument[StatusOffset..], (uint)state.State);
        BinaryPrimitives.WriteUInt32LittleEndian(argument[(StatusOffset + 4)..], state.Processor);
        BinaryPrimitives.WriteUInt32LittleEndian(argument[(StatusOffset + 8)..], state.State is PortState.Virq or PortState.Pirq ? state.Virq : state.Domain);
        return arguments.TryWrite(arguments.Second + StatusOffset, argument.Slice(StatusOffset, 16)) ? 0 : XenError.BadAddress;
    }
}
