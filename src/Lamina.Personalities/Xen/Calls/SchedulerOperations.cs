using System.Buffers.Binary;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>sched_op.</summary>
internal sealed class SchedulerOperations(XenDomain domain)
{
    private const uint Yield = 0;
    private const uint Block = 1;
    private const uint Shutdown = 2;
    private const uint PollPorts = 3;
    private const int MostPorts = 128;

    /// <summary>Executes one.</summary>
    /// <param name="arguments">The call.</param>
    /// <param name="end">Set if the processor is to wait.</param>
    internal long Execute(in CallArguments arguments, ref GuestCallEnd end)
    {
        switch (arguments.Command)
        {
            case Yield:
                arguments.GiveWay();
                return 0;
            case Block:
                return WaitForEvent(arguments, ref end);
            case Shutdown:
                return ShutDown(arguments, ref end);
            case PollPorts:
                return Poll(arguments, ref end);
            default:
                return XenError.NoSuchCall;
        }
    }

    // Events are looked for with the lock held that raises them, so none comes between the look and the halt unheard.
    private long WaitForEvent(in CallArguments arguments, ref GuestCallEnd end)
    {
        XenProcessor processor = domain.Processors[arguments.Processor];
        domain.Gate.Enter();
        processor.PollLimit.Cancel();
        end = processor.Info.TryBlock() && arguments.CanWait ? GuestCallEnd.Halt : GuestCallEnd.GoOn;
        domain.Gate.Exit();
        return 0;
    }

    private long ShutDown(in CallArguments arguments, ref GuestCallEnd end)
    {
        const uint PowerOff = 0;
        const uint Reboot = 1;
        const uint Suspend = 2;
        const uint Crash = 3;
        const uint Watchdog = 4;
        const uint SoftReset = 5;
        Span<byte> argument = stackalloc byte[4];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        switch (BinaryPrimitives.ReadUInt32LittleEndian(argument))
        {
            case PowerOff:
                domain.Settings.Requests?.PowerOff();
                return 0;
            case Suspend:
                return StandStill(arguments, ref end);
            case Reboot or SoftReset or Watchdog:
                domain.Settings.Requests?.Reset();
                return 0;
            case Crash:
                domain.Settings.Requests?.ReportCrash();
                return 0;
            default:
                return XenError.InvalidArgument;
        }
    }

    // A guest that has suspended itself stands still while the host wants that, and goes on with all that it had: to it, the suspension was cancelled. It asks again now and then, so that one that was saved here needs
    // nobody who remembers.
    private long StandStill(in CallArguments arguments, ref GuestCallEnd end)
    {
        const long Cancelled = 1;
        const ulong Again = 100_000_000;
        PollLimit timer = domain.Processors[arguments.Processor].PollLimit;
        domain.Gate.Enter();
        domain.IsSuspended = domain.HoldsSuspension && arguments.CanWait;
        if (domain.IsSuspended)
        {
            end = GuestCallEnd.Repeat;
            timer.Set(domain.Now + Again);
        }
        else
        {
            timer.Cancel();
        }

        domain.Gate.Exit();
        return Cancelled;
    }

    // As in Xen, whatever wakes the processor ends its waiting: what came may have been taken by a handler, and would not be found a second time.
    private long Poll(in CallArguments arguments, ref GuestCallEnd end)
    {
        const int CountOffset = 8;
        const int TimeoutOffset = 16;
        Span<byte> argument = stackalloc byte[24];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(argument[CountOffset..]);
        if (count > MostPorts)
        {
            return XenError.InvalidArgument;
        }

        Span<byte> list = stackalloc byte[MostPorts * sizeof(uint)];
        Span<uint> ports = stackalloc uint[MostPorts];
        if (!arguments.TryRead(BinaryPrimitives.ReadUInt64LittleEndian(argument), list[..((int)count * sizeof(uint))]))
        {
            return XenError.BadAddress;
        }

        for (int i = 0; i < (int)count; i++)
        {
            ports[i] = BinaryPrimitives.ReadUInt32LittleEndian(list[(i * sizeof(uint))..]);
            if (ports[i] == 0 || ports[i] >= domain.Events.Limit)
            {
                return XenError.InvalidArgument;
            }
        }

        ulong limit = BinaryPrimitives.ReadUInt64LittleEndian(argument[TimeoutOffset..]);
        if (!arguments.CanWait)
        {
            return 0;
        }

        PollLimit timer = domain.Processors[arguments.Processor].PollLimit;
        domain.Gate.Enter();
        bool waits = (limit == 0 || limit > domain.Now) && domain.Events.Poll(arguments.Processor, ports[..(int)count]);
        end = waits ? GuestCallEnd.Halt : GuestCallEnd.GoOn;
        if (waits && limit != 0)
        {
            timer.Set(limit);
        }
        else
        {
            timer.Cancel();
        }

        domain.Gate.Exit();
        return 0;
    }
}
