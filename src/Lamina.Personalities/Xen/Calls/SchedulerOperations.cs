using System.Buffers.Binary;

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
    /// <param name="waits">Set if the processor is to wait, and then to ask again.</param>
    internal long Execute(in CallArguments arguments, ref bool waits)
    {
        return arguments.Command switch
        {
            Yield or Block => 0,
            Shutdown => ShutDown(arguments, ref waits),
            PollPorts => Poll(arguments, ref waits),
            _ => XenError.NoSuchCall,
        };
    }

    private long ShutDown(in CallArguments arguments, ref bool waits)
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
                return StandStill(arguments, ref waits);
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
    private long StandStill(in CallArguments arguments, ref bool waits)
    {
        const long Cancelled = 1;
        const ulong Again = 100_000_000;
        PollLimit timer = domain.Processors[arguments.Processor].PollLimit;
        domain.Gate.Enter();
        waits = domain.IsSuspended = domain.HoldsSuspension && arguments.CanWait;
        if (waits)
        {
            timer.Set(domain.Now + Again);
        }
        else
        {
            timer.Cancel();
        }

        domain.Gate.Exit();
        return Cancelled;
    }

    // The time is absolute, so that a processor that asks again after each wake-up needs no memory of what it asked. Whoever waits for nothing, without end, gets its answer at once.
    private long Poll(in CallArguments arguments, ref bool waits)
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
            if (ports[i] is 0 or >= Events.EventChannels.PortCount)
            {
                return XenError.InvalidArgument;
            }
        }

        ulong limit = BinaryPrimitives.ReadUInt64LittleEndian(argument[TimeoutOffset..]);
        if (!arguments.CanWait || (count == 0 && limit == 0))
        {
            return 0;
        }

        PollLimit timer = domain.Processors[arguments.Processor].PollLimit;
        domain.Gate.Enter();
        waits = (limit == 0 || limit > domain.Now) && domain.Events.Poll(arguments.Processor, ports[..(int)count]);
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
