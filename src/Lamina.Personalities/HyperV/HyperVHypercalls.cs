using System.Buffers.Binary;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.HyperV;

/// <summary>
/// Hypercalls (Top-Level Functional Specification, chapter 3): with parameters in memory, or "fast" ones in two general and six XMM registers. The input is copied before it is looked at; a call with a list
/// begins where the caller says, and does all of it.
/// </summary>
internal sealed class HyperVHypercalls(HyperVPersonality personality, GuestMemory memory, IMessageInterruptSink messages)
{
    private const int RegisterBytes = 2 * sizeof(ulong);
    private const int FastBytes = RegisterBytes + (6 * 16);
    private const int RepsShift = 32;
    private const ulong MessageAddress = 0xfee0_0000;
    private const int DestinationShift = 12;
    private const uint FirstVector = 16;

    private readonly RegisterCalls _registers = new(personality);

    /// <summary>Who takes messages and events; null for nobody.</summary>
    internal IPartitionPort? Port { get; set; }

    /// <summary>Takes memory that the guest says it does not use; null if it is not to say.</summary>
    internal FreePages? FreePages { get; set; }

    /// <summary>Executes one.</summary>
    internal void Execute(in GuestCall call)
    {
        ulong value = call.Is64Bit ? call.Registers[GuestCall.Rcx] : Join(call, GuestCall.Rdx, GuestCall.Rax);
        ulong result = Execute(call, new HypercallControl(value));
        if (call.Is64Bit)
        {
            call.Registers[GuestCall.Rax] = result;
        }
        else
        {
            call.Set32(GuestCall.Rax, (uint)result);
            call.Set32(GuestCall.Rdx, (uint)(result >> 32));
        }
    }

    private ulong Execute(in GuestCall call, HypercallControl control)
    {
        if (!HypercallShape.TryFind(control.Code, out HypercallShape shape) || (control.Code == HypercallCode.MemoryHeatHint && FreePages is null))
        {
            return (ulong)(control.Code is >= HypercallCode.FirstOfParent and <= HypercallCode.LastOfParent ? HypercallStatus.AccessDenied : HypercallStatus.InvalidHypercallCode);
        }

        if (!shape.Fits(control))
        {
            return (ulong)HypercallStatus.InvalidHypercallInput;
        }

        ulong first = call.Is64Bit ? call.Registers[GuestCall.Rdx] : Join(call, GuestCall.Rbx, GuestCall.Rcx);
        ulong second = call.Is64Bit ? call.Registers[GuestCall.R8] : Join(call, GuestCall.Rdi, GuestCall.Rsi);
        int inputLength = shape.GetInputLength(control);
        int outputLength = shape.GetOutputLength(control);
        Span<byte> inputPage = control.IsFast ? stackalloc byte[FastBytes] : stackalloc byte[GuestMemory.PageSize];
        Span<byte> outputPage = control.IsFast ? stackalloc byte[FastBytes] : stackalloc byte[GuestMemory.PageSize];
        HypercallStatus status = control.IsFast ? TakeRegisters(call, first, second, inputLength, outputLength, inputPage)
            : IsPage(first, inputLength) && IsPage(second, outputLength) && (inputLength == 0 || memory.TryRead(first, inputPage[..inputLength])) ? HypercallStatus.Success
            : HypercallStatus.InvalidAlignment;
        if (status != HypercallStatus.Success)
        {
            return (ulong)status;
        }

        Span<byte> output = outputPage[..outputLength];
        output.Clear();
        status = Dispatch(call, new HypercallInput(control, shape, inputPage[..inputLength]), output, out int completed);

        // What is given for the elements before the first, and after the last that was dealt with, is left as it was.
        int from = shape.Output * control.RepStart;
        int to = shape.Element == 0 ? outputLength : shape.Output * completed;
        if (to > from && (shape.Element != 0 || status == HypercallStatus.Success))
        {
            if (control.IsFast)
            {
                call.Caller?.WriteVectors(OutputOffset(inputLength) - RegisterBytes + from, output[from..to]);
            }
            else
            {
                memory.TryWrite(second + (ulong)from, output[from..to]);
            }
        }

        return (ulong)status | ((ulong)(uint)completed << RepsShift);
    }

    private HypercallStatus Dispatch(in GuestCall call, in HypercallInput input, Span<byte> output, out int completed)
    {
        completed = input.Control.RepCount;
        switch (input.Control.Code)
        {
            case HypercallCode.FlushVirtualAddressSpace or HypercallCode.FlushVirtualAddressList:
                return Complete(TranslationFlushes.Flush(call.Caller, input), input, ref completed);
            case HypercallCode.FlushVirtualAddressSpaceEx or HypercallCode.FlushVirtualAddressListEx:
                return Complete(TranslationFlushes.FlushSet(call.Caller, input), input, ref completed);
            case HypercallCode.NotifyLongSpinWait:
                call.Caller?.GiveWay();
                return HypercallStatus.Success;
            case HypercallCode.SendSyntheticClusterIpi:
                return SendIpi(input.Get32(0), input.Get64(8));
            case HypercallCode.SendSyntheticClusterIpiEx:
                return ProcessorSet.TryRead(input.Get64(8), input.Get64(16), input.Variable, out ulong mask) ? SendIpi(input.Get32(0), mask) : HypercallStatus.InvalidParameter;
            case HypercallCode.GetVpRegisters:
                return _registers.Get(call, input, output, out completed);
            case HypercallCode.SetVpRegisters:
                return _registers.Set(call, input, out completed);
            case HypercallCode.PostMessage:
                return Post(input);
            case HypercallCode.SignalEvent:
                return Signal(input.Get64(0));
            case HypercallCode.MemoryHeatHint:
                return FreePages!.Take(input, out completed);
            default:
                BinaryPrimitives.WriteUInt64LittleEndian(output, FreePages is null ? 0 : FreePages.Capability);
                return HypercallStatus.Success;
        }
    }

    private static HypercallStatus Complete(HypercallStatus status, in HypercallInput input, ref int completed)
    {
        completed = status == HypercallStatus.Success ? completed : input.Control.RepStart;
        return status;
    }

    private static ulong Join(in GuestCall call, int high, int low) => (call.Registers[high] << 32) | (uint)call.Registers[low];

    // The parameters of a fast call are in pairs of registers, and what it gives is in the pairs behind them.
    private static HypercallStatus TakeRegisters(in GuestCall call, ulong first, ulong second, int inputLength, int outputLength, Span<byte> input)
    {
        int needed = outputLength == 0 ? inputLength : OutputOffset(inputLength) + outputLength;
        if (needed > FastBytes || (needed > RegisterBytes && call.Caller == null))
        {
            return HypercallStatus.InvalidHypercallInput;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(input, first);
        BinaryPrimitives.WriteUInt64LittleEndian(input[sizeof(ulong)..], second);
        if (inputLength > RegisterBytes)
        {
            call.Caller!.ReadVectors(input[RegisterBytes..FastBytes]);
        }

        return HypercallStatus.Success;
    }

    // The general registers are never written.
    private static int OutputOffset(int inputLength) => Math.Max(RegisterBytes, (inputLength + 15) & ~15);

    // Parameters are in one page.
    private bool IsPage(ulong address, int length)
    {
        return length == 0
            || ((address & 7) == 0 && (int)(address % GuestMemory.PageSize) + length <= GuestMemory.PageSize && memory.GetHostAddress(address, (ulong)length) != 0);
    }

    private HypercallStatus SendIpi(uint vector, ulong mask)
    {
        if (vector is < FirstVector or > byte.MaxValue)
        {
            return HypercallStatus.InvalidParameter;
        }

        for (int i = 0; i < personality.ProcessorCount; i++)
        {
            if (((mask >> i) & 1) != 0)
            {
                messages.Send(MessageAddress | ((ulong)(uint)i << DestinationShift), vector);
            }
        }

        return HypercallStatus.Success;
    }

    private HypercallStatus Post(in HypercallInput input)
    {
        const int TypeOffset = 8;
        const int SizeOffset = 12;
        const int PayloadOffset = 16;
        uint size = input.Get32(SizeOffset);
        return size > SyntheticInterrupts.MaximumPayload ? HypercallStatus.InvalidParameter
            : Port?.TryPostMessage(input.Get32(0), input.Get32(TypeOffset), input.Header.Slice(PayloadOffset, (int)size)) == true ? HypercallStatus.Success
            : HypercallStatus.InvalidConnectionId;
    }

    // Each connection has one flag here.
    private HypercallStatus Signal(ulong input)
    {
        return input >> 32 != 0 ? HypercallStatus.InvalidParameter
            : Port?.TrySignalEvent((uint)input) == true ? HypercallStatus.Success : HypercallStatus.InvalidConnectionId;
    }
}
