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
    /// <param name="canWait">The processor can be told to wait.</param>
    internal long Execute(in CallArguments arguments, bool canWait)
    {
        return arguments.Command switch
        {
            Yield or Block => 0,
            Shutdown => ShutDown(arguments),
            PollPorts => Poll(arguments, canWait),
            _ => XenError.NoSuchCall,
        };
    }

    private long ShutDown(in CallArguments arguments)
    {
        const uint PowerOff = 0;
        const uint Reboot = 1;
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

    // With a limit to the time, or from a call that cannot wait, it is as if the time were over.
    private long Poll(in CallArguments arguments, bool canWait)
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

        if (!canWait || count == 0 || BinaryPrimitives.ReadUInt64LittleEndian(argument[TimeoutOffset..]) != 0)
        {
            return 0;
        }

        domain.Gate.Enter();
        bool waits = domain.Events.Poll(arguments.Processor, ports[..(int)count]);
        domain.Gate.Exit();
        return waits ? HypercallPage.Wait : 0;
    }
}
