using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Far JMP and CALL (Intel SDM volume 2, JMP and CALL; volume 3, section 5.8).</summary>
internal static unsafe class FarTransfers
{
    /// <summary>EA.</summary>
    public static bool JumpPointer(ProcessorContext* c, Instruction* i)
    {
        return Transfer(c, i, i->Immediate2, (ulong)i->Immediate, call: false);
    }

    /// <summary>9A.</summary>
    public static bool CallPointer(ProcessorContext* c, Instruction* i)
    {
        return Transfer(c, i, i->Immediate2, (ulong)i->Immediate, call: true);
    }

    /// <summary>FF /5.</summary>
    public static bool JumpMemory(ProcessorContext* c, Instruction* i)
    {
        return LoadPointer(c, i, out ushort selector, out ulong offset) && Transfer(c, i, selector, offset, call: false);
    }

    /// <summary>FF /3.</summary>
    public static bool CallMemory(ProcessorContext* c, Instruction* i)
    {
        return LoadPointer(c, i, out ushort selector, out ulong offset) && Transfer(c, i, selector, offset, call: true);
    }

    /// <summary>Reads a far pointer of the operand size: offset, then selector.</summary>
    public static bool LoadPointer(ProcessorContext* c, Instruction* i, out ushort selector, out ulong offset)
    {
        byte* pointer = stackalloc byte[10];
        int size = i->OperandSize;
        selector = 0;
        offset = 0;
        if (!GuestAccess.LoadFarPointer(c, i->Segment, GuestAccess.EffectiveAddress(c, i), pointer, size + 2, size))
        {
            return false;
        }

        selector = Unsafe.ReadUnaligned<ushort>(pointer + size);
        offset = size switch
        {
            2 => Unsafe.ReadUnaligned<ushort>(pointer),
            4 => Unsafe.ReadUnaligned<uint>(pointer),
            _ => Unsafe.ReadUnaligned<ulong>(pointer),
        };
        return true;
    }

    private static bool Transfer(ProcessorContext* c, Instruction* i, ushort selector, ulong offset, bool call)
    {
        if (!c->Protected)
        {
            return Unprotected(c, i, selector, offset, call);
        }

        if (DescriptorTables.IsNull(selector))
        {
            return Fault.GeneralProtection(c);
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.GeneralProtectionVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        if (d.IsSegment)
        {
            return ToSegment(c, i, selector, d, linear, offset, call);
        }

        uint code = DescriptorTables.Code(selector);
        uint type = d.SystemType;
        bool known = c->LongMode
            ? type == DescriptorType.CallGate
            : type is DescriptorType.CallGate or DescriptorType.CallGate16 or DescriptorType.TaskGate or DescriptorType.TaskState or DescriptorType.TaskState16;
        bool inLocalTable = (type & ~8u) == DescriptorType.TaskState16 && (selector & 4) != 0;
        if (!known || inLocalTable || d.Dpl < c->Cpl || d.Dpl < (selector & 3))
        {
            return Fault.GeneralProtection(c, code);
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, code);
        }

        ulong next = InstructionPointer.Next(c, i);
        TaskSwitchSource source = call ? TaskSwitchSource.Call : TaskSwitchSource.Jump;
        return type switch
        {
            DescriptorType.CallGate or DescriptorType.CallGate16 => CallGates.Enter(c, selector, d, next, call),
            DescriptorType.TaskGate => TaskSwitch.ThroughGate(c, d, source, next, Flags.Get(c)),
            _ => TaskSwitch.Switch(c, selector, d, linear, source, next, Flags.Get(c)),
        };
    }

    private static bool Unprotected(ProcessorContext* c, Instruction* i, ushort selector, ulong offset, bool call)
    {
        ref SegmentCache cs = ref c->Segments[SegmentRegister.Cs];
        StackWriter stack = StackWriter.Explicit(c);
        int size = i->OperandSize;
        if (call && !stack.HasRoom(c, 2, size))
        {
            return false;
        }

        if (offset > cs.Limit)
        {
            return Fault.GeneralProtection(c);
        }

        if (call)
        {
            if (!stack.Push(c, cs.Selector, size) || !stack.Push(c, InstructionPointer.Next(c, i), size))
            {
                return false;
            }

            stack.Commit(c);
        }

        CodeLoader.EnterUnprotected(c, selector, offset);
        return true;
    }

    private static bool ToSegment(ProcessorContext* c, Instruction* i, ushort selector, Descriptor d, ulong linear, ulong offset, bool call)
    {
        StackWriter stack = StackWriter.Explicit(c);
        int size = i->OperandSize;
        if (!CodeLoader.CheckSameLevel(c, selector, d, checkRpl: true)
            || (call && !stack.HasRoom(c, 2, size))
            || !InstructionPointer.Check(c, d, offset))
        {
            return false;
        }

        if (call)
        {
            if (!stack.Push(c, c->Segments[SegmentRegister.Cs].Selector, size)
                || !stack.Push(c, InstructionPointer.Next(c, i), size)
                || !DescriptorTables.SetAccessed(c, linear, d))
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
}
