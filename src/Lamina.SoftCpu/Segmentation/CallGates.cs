using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Call gates of 16, 32 and 64 bits (Intel SDM volume 3, sections 5.8.3 to 5.8.5).</summary>
internal static unsafe class CallGates
{
    private const int MaximumParameters = 31;

    /// <summary>Goes through a present gate whose privilege has been checked.</summary>
    public static bool Enter(ProcessorContext* c, ushort gateSelector, Descriptor gate, ulong next, bool call)
    {
        ulong offset = gate.GateOffset;
        int size = gate.SystemType == DescriptorType.CallGate16 ? 2 : 4;
        if (c->LongMode)
        {
            if (!DescriptorTables.FetchUpper(c, gateSelector, Fault.GeneralProtectionVector, out uint upper))
            {
                return false;
            }

            offset |= (ulong)upper << 32;
            size = 8;
        }
        else if (size == 2)
        {
            offset = (ushort)offset;
        }

        ushort selector = gate.GateSelector;
        if (DescriptorTables.IsNull(selector))
        {
            return Fault.GeneralProtection(c);
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.GeneralProtectionVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        if (c->LongMode && !d.IsLongCode)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (call && d.IsCode && !d.IsConforming && d.Dpl < c->Cpl)
        {
            if (!d.IsPresent)
            {
                return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
            }

            return c->LongMode
                ? CallInnerLong(c, selector, d, linear, offset, next)
                : CallInner(c, selector, d, linear, offset, next, size, gate.GateParameters);
        }

        StackWriter stack = c->LongMode
            ? StackWriter.ExplicitLong(c)
            : StackWriter.Explicit(c);
        if (!CodeLoader.CheckSameLevel(c, selector, d, checkRpl: false)
            || (call && !stack.HasRoom(c, 2, size))
            || !InstructionPointer.Check(c, d, offset))
        {
            return false;
        }

        if (call)
        {
            if (!stack.Push(c, c->Segments[SegmentRegister.Cs].Selector, size) || !stack.Push(c, next, size) || !DescriptorTables.SetAccessed(c, linear, d))
            {
                return false;
            }

            stack.Commit(c);
        }
        else if (!DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        CodeLoader.Enter(c, selector, d, c->Cpl, offset);
        return true;
    }

    private static bool CallInner(ProcessorContext* c, ushort selector, Descriptor d, ulong linear, ulong offset, ulong next, int size, int count)
    {
        if (!InnerStack.Open(c, d.Dpl, out StackWriter stack)
            || !stack.HasRoom(c, 4 + count, size)
            || !InstructionPointer.Check(c, d, offset))
        {
            return false;
        }

        ulong* parameters = stackalloc ulong[MaximumParameters];
        StackReader outer = StackReader.Current(c);
        for (int n = 0; n < count; n++)
        {
            if (!outer.Pop(c, size, out parameters[n]))
            {
                return false;
            }
        }

        if (!stack.Push(c, c->Segments[SegmentRegister.Ss].Selector, size) || !stack.Push(c, c->Registers[4], size))
        {
            return false;
        }

        for (int n = count - 1; n >= 0; n--)
        {
            if (!stack.Push(c, parameters[n], size))
            {
                return false;
            }
        }

        if (!stack.Push(c, c->Segments[SegmentRegister.Cs].Selector, size)
            || !stack.Push(c, next, size)
            || !DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        stack.Commit(c);
        CodeLoader.Enter(c, selector, d, d.Dpl, offset);
        return true;
    }

    private static bool CallInnerLong(ProcessorContext* c, ushort selector, Descriptor d, ulong linear, ulong offset, ulong next)
    {
        if (!InnerStack.ReadPointer(c, d.Dpl, out ulong pointer))
        {
            return false;
        }

        SegmentCache segment = default;
        SegmentLoader.FillNullStack(ref segment, d.Dpl);
        StackWriter stack = StackWriter.Long(segment, pointer, d.Dpl);
        if (!stack.HasRoom(c, 4, 8)
            || !InstructionPointer.Check(c, d, offset)
            || !stack.Push(c, c->Segments[SegmentRegister.Ss].Selector, 8)
            || !stack.Push(c, c->Registers[4], 8)
            || !stack.Push(c, c->Segments[SegmentRegister.Cs].Selector, 8)
            || !stack.Push(c, next, 8)
            || !DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        stack.Commit(c);
        CodeLoader.Enter(c, selector, d, d.Dpl, offset);
        return true;
    }
}
