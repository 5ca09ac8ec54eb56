using System.Buffers.Binary;
using System.Numerics;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.HyperV;

/// <summary>Hypercalls (Top-Level Functional Specification, chapter 3): with parameters in memory, or "fast" ones in registers.</summary>
internal sealed class HyperVHypercalls(GuestMemory memory, IMessageInterruptSink messages, int processorCount)
{
    private const ushort NotifyLongSpinWait = 0x0008;
    private const ushort SendSyntheticClusterIpi = 0x000b;
    private const ushort SendSyntheticClusterIpiEx = 0x0015;
    private const ushort PostMessage = 0x005c;
    private const ushort SignalEvent = 0x005d;
    private const ulong FastBit = 1 << 16;
    private const ulong RepMask = 0xfffUL << 32;
    private const int VariableHeaderShift = 17;
    private const int VariableHeaderMask = 0x3ff;
    private const int PostMessageLength = 256;
    private const ulong MessageAddress = 0xfee0_0000;
    private const int DestinationShift = 12;
    private const uint FirstVector = 16;

    /// <summary>Who takes messages and events; null for nobody.</summary>
    internal IPartitionPort? Port { get; set; }

    /// <summary>Executes one.</summary>
    internal void Execute(in GuestCall call)
    {
        ulong control = call.Is64Bit ? call.Registers[GuestCall.Rcx] : Join(call, GuestCall.Rdx, GuestCall.Rax);
        ulong first = call.Is64Bit ? call.Registers[GuestCall.Rdx] : Join(call, GuestCall.Rbx, GuestCall.Rcx);
        ulong second = call.Is64Bit ? call.Registers[GuestCall.R8] : Join(call, GuestCall.Rdi, GuestCall.Rsi);
        bool fast = (control & FastBit) != 0;
        HypercallStatus status = (control & RepMask) != 0 ? HypercallStatus.InvalidHypercallCode : (ushort)control switch
        {
            NotifyLongSpinWait => HypercallStatus.Success,
            SendSyntheticClusterIpi => SendIpi(first, second, fast),
            SendSyntheticClusterIpiEx => SendIpiEx(first, fast, (int)(control >> VariableHeaderShift) & VariableHeaderMask),
            PostMessage => Post(first, fast),
            SignalEvent => Signal(first, fast),
            _ => HypercallStatus.InvalidHypercallCode,
        };
        if (call.Is64Bit)
        {
            call.Registers[GuestCall.Rax] = (ulong)status;
        }
        else
        {
            call.Set32(GuestCall.Rax, (uint)status);
            call.Set32(GuestCall.Rdx, 0);
        }
    }

    private static ulong Join(in GuestCall call, int high, int low) => (call.Registers[high] << 32) | (uint)call.Registers[low];

    private HypercallStatus SendIpi(ulong first, ulong second, bool fast)
    {
        Span<byte> input = stackalloc byte[16];
        if (fast)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(input, first);
            BinaryPrimitives.WriteUInt64LittleEndian(input[8..], second);
        }
        else if (!IsAligned(first) || !memory.TryRead(first, input))
        {
            return HypercallStatus.InvalidAlignment;
        }

        return SendIpi(BinaryPrimitives.ReadUInt32LittleEndian(input), BinaryPrimitives.ReadUInt64LittleEndian(input[8..]));
    }

    // A set of processors as banks of 64 (section 7.8.7.3), of which there is one here.
    private HypercallStatus SendIpiEx(ulong address, bool fast, int banks)
    {
        const int HeaderLength = 24;
        const ulong SparseSet = 0;
        const ulong AllProcessors = 1;
        Span<byte> input = stackalloc byte[HeaderLength];
        if (fast || !IsAligned(address) || !memory.TryRead(address, input))
        {
            return HypercallStatus.InvalidAlignment;
        }

        uint vector = BinaryPrimitives.ReadUInt32LittleEndian(input);
        ulong format = BinaryPrimitives.ReadUInt64LittleEndian(input[8..]);
        ulong valid = BinaryPrimitives.ReadUInt64LittleEndian(input[16..]);
        ulong mask = ulong.MaxValue;
        if (format == SparseSet)
        {
            if (BitOperations.PopCount(valid) != banks || ((valid & 1) != 0 && !memory.TryRead(address + HeaderLength, out mask)))
            {
                return HypercallStatus.InvalidParameter;
            }

            mask = (valid & 1) != 0 ? mask : 0;
        }
        else if (format != AllProcessors)
        {
            return HypercallStatus.InvalidParameter;
        }

        return SendIpi(vector, mask);
    }

    private HypercallStatus SendIpi(uint vector, ulong mask)
    {
        if (vector is < FirstVector or > byte.MaxValue)
        {
            return HypercallStatus.InvalidParameter;
        }

        for (int i = 0; i < processorCount; i++)
        {
            if (((mask >> i) & 1) != 0)
            {
                messages.Send(MessageAddress | ((ulong)(uint)i << DestinationShift), vector);
            }
        }

        return HypercallStatus.Success;
    }

    private HypercallStatus Post(ulong address, bool fast)
    {
        const int PayloadOffset = 16;
        Span<byte> input = stackalloc byte[PostMessageLength];
        if (fast || !IsAligned(address) || !memory.TryRead(address, input))
        {
            return HypercallStatus.InvalidAlignment;
        }

        uint size = BinaryPrimitives.ReadUInt32LittleEndian(input[12..]);
        return size > SyntheticInterrupts.MaximumPayload ? HypercallStatus.InvalidParameter
            : Port?.TryPostMessage(BinaryPrimitives.ReadUInt32LittleEndian(input), input.Slice(PayloadOffset, (int)size)) == true ? HypercallStatus.Success
            : HypercallStatus.InvalidConnectionId;
    }

    private HypercallStatus Signal(ulong first, bool fast)
    {
        ulong input = first;
        if (!fast && (!IsAligned(first) || !memory.TryRead(first, out input)))
        {
            return HypercallStatus.InvalidAlignment;
        }

        // Each connection has one flag here.
        return input >> 32 != 0 ? HypercallStatus.InvalidParameter
            : Port?.TrySignalEvent((uint)input) == true ? HypercallStatus.Success : HypercallStatus.InvalidConnectionId;
    }

    private static bool IsAligned(ulong address) => (address & 7) == 0;
}
