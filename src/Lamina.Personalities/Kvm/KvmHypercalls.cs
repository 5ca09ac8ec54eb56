using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Kvm;

/// <summary>KVM's hypercalls (Linux, Documentation/virt/kvm/x86/hypercalls.rst): the number in RAX, arguments in RBX, RCX, RDX and RSI, the result in RAX.</summary>
internal sealed class KvmHypercalls(IMessageInterruptSink messages, int processorCount)
{
    private const ulong VapicPollIrq = 1;
    private const ulong KickCpu = 5;
    private const ulong SendIpi = 10;
    private const ulong SchedYield = 11;
    private const long NoSuchCall = -1000;
    private const long NotPermitted = -1;
    private const long InvalidArgument = -22;

    // Of the interrupt command: vector and delivery mode. Shorthand and destination are not the guest's here.
    private const ulong CommandMask = 0x7ff;
    private const ulong ShorthandMask = 0xc_0000;
    private const ulong MessageAddress = 0xfee0_0000;
    private const int DestinationShift = 12;

    private readonly IProcessorSignals?[] _signals = new IProcessorSignals?[processorCount];

    internal void Connect(int processor, IProcessorSignals signals) => _signals[processor] = signals;

    internal void Execute(in GuestCall call)
    {
        long result = call.PrivilegeLevel != 0 ? NotPermitted : call.Get(GuestCall.Rax) switch
        {
            VapicPollIrq => 0,
            KickCpu => Kick(call.Get(GuestCall.Rcx)),
            SendIpi => Send(call.Get(GuestCall.Rbx), call.Get(GuestCall.Rcx), call.Get(GuestCall.Rdx), call.Get(GuestCall.Rsi), call.Is64Bit ? 64 : 32),
            SchedYield => Yield(call),
            _ => NoSuchCall,
        };
        call.Registers[GuestCall.Rax] = call.Is64Bit ? (ulong)result : (uint)result;
    }

    // A processor that does not exist sleeps on.
    private long Kick(ulong apicId)
    {
        if (apicId < (ulong)processorCount)
        {
            _signals[apicId]?.SignalKick();
        }

        return 0;
    }

    // Which processor is to have it instead, the host's scheduler decides.
    private static long Yield(in GuestCall call)
    {
        call.Caller?.GiveWay();
        return 0;
    }

    // Two words of bits from the lowest APIC identifier on.
    private long Send(ulong low, ulong high, ulong lowest, ulong command, int width)
    {
        if ((command & ShorthandMask) != 0 || command > uint.MaxValue)
        {
            return InvalidArgument;
        }

        long sent = 0;
        for (int i = 0; i < 2 * width; i++)
        {
            ulong word = i < width ? low >> i : high >> (i - width);
            ulong id = lowest + (ulong)i;
            if ((word & 1) != 0 && id >= lowest && id < (ulong)processorCount)
            {
                messages.Send(MessageAddress | (id << DestinationShift), (uint)(command & CommandMask));
                sent++;
            }
        }

        return sent;
    }
}
