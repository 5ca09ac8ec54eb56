using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>vcpu_op, and set_timer_op.</summary>
internal sealed class ProcessorOperations(XenDomain domain)
{
    private const uint Initialize = 0;
    private const uint Up = 1;
    private const uint Down = 2;
    private const uint IsUp = 3;
    private const uint GetRunState = 4;
    private const uint RegisterRunState = 5;
    private const uint SetPeriodicTimer = 6;
    private const uint StopPeriodicTimer = 7;
    private const uint SetSingleShotTimer = 8;
    private const uint StopSingleShotTimer = 9;
    private const uint RegisterInfo = 10;
    private const uint SendNonMaskable = 11;
    private const uint RegisterTime = 13;
    private const ulong PageSize = GuestMemory.PageSize;

    /// <summary>Executes one.</summary>
    /// <param name="arguments">The call.</param>
    /// <param name="end">Set if the processor is to wait.</param>
    internal long Execute(in CallArguments arguments, ref GuestCallEnd end)
    {
        if (arguments.Second >= (ulong)domain.Processors.Length)
        {
            return XenError.NoEntry;
        }

        int index = (int)arguments.Second;
        switch (arguments.Command)
        {
            case Initialize:
                return InitializeProcessor(arguments, domain.Processors[index]);
            case Up:
                return BringUp(domain.Processors[index]);
            case Down:
                return BringDown(arguments, index, ref end);
            case IsUp:
                return domain.Processors[index].Signals is { IsUp: true } ? 1 : 0;
            case GetRunState:
                Span<byte> structure = stackalloc byte[RunState.Length];
                domain.Gate.Enter();
                domain.Processors[index].RunState.Describe(structure, domain.Now, domain.GetStolen(index));
                domain.Gate.Exit();
                return arguments.TryWrite(arguments.Third, structure) ? 0 : XenError.BadAddress;
            case SendNonMaskable:
                const ulong MessageAddress = 0xfee0_0000;
                const uint NonMaskable = 4 << 8;
                domain.Settings.Messages.Send(MessageAddress | ((ulong)(uint)index << 12), NonMaskable);
                return 0;
        }

        domain.Gate.Enter();
        long result = Execute(arguments, domain.Processors[index], index);
        domain.Gate.Exit();
        return result;
    }

    /// <summary>Executes set_timer_op.</summary>
    internal long SetTimer(in CallArguments arguments, ulong deadline)
    {
        XenTimer timer = domain.Processors[arguments.Processor].SingleShot;
        domain.Gate.Enter();
        if (deadline == 0)
        {
            timer.Cancel();
        }
        else
        {
            timer.Set(deadline, 0);
        }

        domain.Gate.Exit();
        return 0;
    }

    // One that has not begun yet, or was sent INIT: it does when it is brought up.
    private long InitializeProcessor(in CallArguments arguments, XenProcessor processor)
    {
        Span<byte> context = stackalloc byte[HvmContext.Length];
        if (!arguments.TryRead(arguments.Third, context))
        {
            return XenError.BadAddress;
        }

        domain.Gate.Enter();
        bool exists = processor.IsInitialized || processor.Signals is not { WaitsForStartUp: true };
        processor.IsInitialized = exists ? processor.IsInitialized : processor.Context.TrySet(context);
        long result = exists ? XenError.Exists : processor.IsInitialized ? 0 : XenError.InvalidArgument;
        domain.Gate.Exit();
        return result;
    }

    private long BringUp(XenProcessor processor)
    {
        domain.Gate.Enter();
        bool waits = processor.Signals is not { WaitsForStartUp: false };
        bool begins = waits && processor.IsInitialized;
        processor.IsInitialized = false;
        if (begins)
        {
            processor.Signals!.SignalBegin(processor.Context);
        }
        else if (!waits)
        {
            // It may have halted, in the call by which it went down or otherwise.
            bool wasUp = processor.Signals!.IsUp;
            processor.Signals.SignalGoOn();
            if (!wasUp)
            {
                processor.Signals.SignalKick();
            }
        }

        domain.Gate.Exit();
        return waits && !begins ? XenError.InvalidArgument : 0;
    }

    // The last one that goes down takes the machine with it.
    private long BringDown(in CallArguments arguments, int index, ref GuestCallEnd end)
    {
        domain.Gate.Enter();
        bool isLast = true;
        for (int i = 0; i < domain.Processors.Length; i++)
        {
            isLast &= i == index || domain.Processors[i].Signals is not { IsUp: true };
        }

        if (!isLast && domain.Processors[index].Signals is { WaitsForStartUp: false } signals)
        {
            signals.SignalStandStill();
            end = index == arguments.Processor ? GuestCallEnd.Halt : end;
        }

        domain.Gate.Exit();
        if (isLast)
        {
            domain.Settings.Requests?.PowerOff();
        }

        return 0;
    }

    private long Execute(in CallArguments arguments, XenProcessor processor, int index)
    {
        Span<byte> argument = stackalloc byte[16];
        argument.Clear();
        int length = arguments.Command switch
        {
            SetSingleShotTimer or RegisterInfo => 16,
            SetPeriodicTimer or RegisterRunState or RegisterTime => 8,
            _ => 0,
        };
        if (!arguments.TryRead(arguments.Third, argument[..length]))
        {
            return XenError.BadAddress;
        }

        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(argument);
        uint second = BinaryPrimitives.ReadUInt32LittleEndian(argument[8..]);
        switch (arguments.Command)
        {
            case RegisterRunState:
                if (!processor.RunState.TryPlace(arguments, first))
                {
                    return XenError.BadAddress;
                }

                processor.RunState.Begin(domain.Now, domain.GetStolen(index));
                processor.RunState.Publish(domain.FlagsRunState);
                return 0;
            case RegisterTime:
                if (!arguments.TryTranslate(first, write: true, out ulong area) || area % PageSize > PageSize - 32)
                {
                    return XenError.BadAddress;
                }

                processor.TimeArea = area;
                domain.PublishTime(index);
                return 0;
            case SetPeriodicTimer:
                if (first < XenTimer.ShortestPeriod || first > long.MaxValue)
                {
                    return XenError.InvalidArgument;
                }

                processor.Periodic.Set(domain.Now + first, first);
                return 0;
            case StopPeriodicTimer:
                processor.Periodic.Cancel();
                return 0;
            case SetSingleShotTimer:
                const uint Future = 1;
                if (index != arguments.Processor)
                {
                    return XenError.InvalidArgument;
                }

                if ((second & Future) != 0 && first < domain.Now)
                {
                    return XenError.OutOfTime;
                }

                processor.SingleShot.Set(first, 0);
                return 0;
            case StopSingleShotTimer:
                if (index != arguments.Processor)
                {
                    return XenError.InvalidArgument;
                }

                processor.SingleShot.Cancel();
                return 0;
            case RegisterInfo:
                if (first > ulong.MaxValue / PageSize || second >= PageSize)
                {
                    return XenError.InvalidArgument;
                }

                long result = processor.Info.Place((first * PageSize) + second);
                domain.PublishTime(index);
                return result;
            default:
                return XenError.NoSuchCall;
        }
    }
}
