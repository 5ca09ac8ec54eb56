using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Far RET (Intel SDM volume 2, RET; volume 3, section 5.8.6).</summary>
internal static unsafe class FarReturns
{
    /// <summary>CA and CB.</summary>
    public static bool Return(ProcessorContext* c, Instruction* i)
    {
        int size = i->OperandSize;
        int release = (int)(ushort)i->Immediate;
        StackReader stack = StackReader.Current(c);
        if (!stack.Pop(c, size, out ulong rip) || !stack.Pop(c, size, out ulong popped))
        {
            return false;
        }

        ushort selector = (ushort)popped;
        stack.Skip(release);
        if (!c->Protected)
        {
            if (rip > c->Segments[SegmentRegister.Cs].Limit)
            {
                return Fault.GeneralProtection(c);
            }

            c->Registers[4] = stack.Pointer;
            CodeLoader.EnterUnprotected(c, selector, rip);
            return true;
        }

        if (!ReturnTarget.Check(c, selector, out ReturnTarget target))
        {
            return false;
        }

        if (target.Level == c->Cpl)
        {
            if (!InstructionPointer.Check(c, target.Descriptor, rip) || !DescriptorTables.SetAccessed(c, target.Linear, target.Descriptor))
            {
                return false;
            }

            c->Registers[4] = stack.Pointer;
            CodeLoader.Enter(c, selector, target.Descriptor, target.Level, rip);
            return true;
        }

        return ToOuter(c, ref stack, target, rip, size, release);
    }

    private static bool ToOuter(ProcessorContext* c, ref StackReader stack, in ReturnTarget target, ulong rip, int size, int release)
    {
        if (!stack.Pop(c, size, out ulong pointer) || !stack.Pop(c, size, out ulong stackSelector))
        {
            return false;
        }

        if (!target.CheckStack(c, (ushort)stackSelector, out SegmentCache outer)
            || !InstructionPointer.Check(c, target.Descriptor, rip)
            || !DescriptorTables.SetAccessed(c, target.Linear, target.Descriptor))
        {
            return false;
        }

        c->Registers[4] = target.OuterPointer(c, outer, pointer, release);
        c->Segments[SegmentRegister.Ss] = outer;
        CodeLoader.Enter(c, target.Selector, target.Descriptor, target.Level, rip);
        SegmentLoader.DropInaccessible(c);
        return true;
    }
}
