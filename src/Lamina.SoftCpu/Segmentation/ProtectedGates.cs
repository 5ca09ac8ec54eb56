using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Event delivery through the IDT outside long mode, also out of virtual-8086 mode (Intel SDM volume 3, section 6.12; volume 2, INT n).</summary>
internal static unsafe class ProtectedGates
{
    public static bool Deliver(ProcessorContext* c, in PendingEvent e)
    {
        uint offset = e.Vector * 8u;
        if (offset + 7 > c->IdtLimit)
        {
            return Fault.GeneralProtection(c, e.GateCode);
        }

        if (!SystemMemory.Load(c, c->IdtBase + offset, out ulong value))
        {
            return false;
        }

        Descriptor gate = new(value);
        uint type = gate.SystemType;
        bool known = type is DescriptorType.TaskGate or DescriptorType.InterruptGate16 or DescriptorType.TrapGate16 or DescriptorType.InterruptGate or DescriptorType.TrapGate;
        if (!known || (e.Kind == EventKind.SoftwareInterrupt && gate.Dpl < c->Cpl))
        {
            return Fault.GeneralProtection(c, e.GateCode);
        }

        if (!gate.IsPresent)
        {
            return Fault.SegmentNotPresent(c, e.GateCode);
        }

        if (type == DescriptorType.TaskGate)
        {
            return TaskSwitch.ThroughGate(c, gate, TaskSwitchSource.Event, e.Rip, e.Flags, e.HasCode, e.Code);
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

        if (!d.IsCode || d.Dpl > c->Cpl)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        // Out of virtual-8086 mode only a non-conforming segment of privilege 0 will do.
        bool inner = !d.IsConforming && d.Dpl < c->Cpl;
        if (c->Virtual8086 && (!inner || d.Dpl != 0))
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        // The frame must fit, and then the handler's address be one, before any of it is written.
        int size = (type & 8) != 0 ? 4 : 2;
        ulong target = size == 2 ? (ushort)gate.GateOffset : gate.GateOffset;
        int slots = (inner ? 5 : 3) + (c->Virtual8086 ? 4 : 0) + (e.HasCode ? 1 : 0);
        StackWriter stack = StackWriter.Current(c);
        if ((inner && !InnerStack.Open(c, d.Dpl, out stack))
            || !stack.HasRoom(c, slots, size)
            || !InstructionPointer.Check(c, d, target))
        {
            return false;
        }

        if (inner)
        {
            if ((c->Virtual8086 && !PushDataSegments(c, ref stack, size))
                || !stack.Push(c, c->Segments[SegmentRegister.Ss].Selector, size)
                || !stack.Push(c, c->Registers[4], size))
            {
                return false;
            }
        }

        if (!stack.Push(c, e.Flags, size)
            || !stack.Push(c, c->Segments[SegmentRegister.Cs].Selector, size)
            || !stack.Push(c, e.Rip, size)
            || (e.HasCode && !stack.Push(c, e.Code, size))
            || !DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        if (c->Virtual8086)
        {
            SegmentLoader.SetNull(c, SegmentRegister.Gs, 0);
            SegmentLoader.SetNull(c, SegmentRegister.Fs, 0);
            SegmentLoader.SetNull(c, SegmentRegister.Ds, 0);
            SegmentLoader.SetNull(c, SegmentRegister.Es, 0);
        }

        stack.Commit(c);
        uint cleared = Flags.Trap | Flags.NestedTask | Flags.Resume | Flags.Virtual8086 | ((type & 1) == 0 ? Flags.Interrupt : 0);
        c->SystemFlags &= ~cleared;
        CodeLoader.Enter(c, selector, d, inner ? d.Dpl : c->Cpl, target);
        return true;
    }

    private static bool PushDataSegments(ProcessorContext* c, ref StackWriter stack, int size)
    {
        return stack.Push(c, c->Segments[SegmentRegister.Gs].Selector, size)
            && stack.Push(c, c->Segments[SegmentRegister.Fs].Selector, size)
            && stack.Push(c, c->Segments[SegmentRegister.Ds].Selector, size)
            && stack.Push(c, c->Segments[SegmentRegister.Es].Selector, size);
    }
}
