using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Event delivery in long mode (Intel SDM volume 3, section 6.14).</summary>
internal static unsafe class LongModeGates
{
    public static bool Deliver(ProcessorContext* c, in PendingEvent e)
    {
        uint offset = e.Vector * 16u;
        if (offset + 15 > c->IdtLimit)
        {
            return Fault.GeneralProtection(c, e.GateCode);
        }

        if (!SystemMemory.Load(c, c->IdtBase + offset, out ulong low) || !SystemMemory.Load(c, c->IdtBase + offset + 8, out ulong high))
        {
            return false;
        }

        Descriptor gate = new(low);
        uint type = gate.SystemType;
        if (type is not (DescriptorType.InterruptGate or DescriptorType.TrapGate)
            || (e.Kind == EventKind.SoftwareInterrupt && gate.Dpl < c->Cpl))
        {
            return Fault.GeneralProtection(c, e.GateCode);
        }

        if (!gate.IsPresent)
        {
            return Fault.SegmentNotPresent(c, e.GateCode);
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

        if (!d.IsLongCode || d.Dpl > c->Cpl)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        ulong target = gate.GateOffset | (high << 32);
        byte level = d.IsConforming ? c->Cpl : d.Dpl;
        if (!OpenStack(c, level, gate.GateStack, out ulong pointer)
            || !PushFrame(c, e, level, d, target, ref pointer)
            || !DescriptorTables.SetAccessed(c, linear, d))
        {
            return false;
        }

        if (level != c->Cpl)
        {
            SegmentLoader.FillNullStack(ref c->Segments[SegmentRegister.Ss], level);
        }

        bool was64 = c->CodeSize == 8;
        uint cleared = Flags.Trap | Flags.NestedTask | Flags.Resume | ((type & 1) == 0 ? Flags.Interrupt : 0);
        c->SystemFlags &= ~cleared;
        c->Registers[4] = pointer;
        SegmentLoader.Fill(ref c->Segments[SegmentRegister.Cs], (ushort)((selector & ~3) | level), d);
        c->Cpl = level;
        c->Rip = target;
        if (was64)
        {
            ProcessorMode.SelectTlb(c);
        }
        else
        {
            ProcessorMode.Update(c);
        }

        return true;
    }

    private static bool OpenStack(ProcessorContext* c, byte level, int interruptStack, out ulong pointer)
    {
        if (interruptStack != 0)
        {
            if (!InnerStack.ReadInterruptStack(c, interruptStack, out pointer))
            {
                return false;
            }
        }
        else if (level != c->Cpl)
        {
            if (!InnerStack.ReadPointer(c, level, out pointer))
            {
                return false;
            }
        }
        else
        {
            pointer = c->Registers[4];
        }

        pointer &= ~15UL;
        return true;
    }

    // The stack is looked at before the handler's address.
    private static bool PushFrame(ProcessorContext* c, in PendingEvent e, byte level, Descriptor code, ulong target, ref ulong pointer)
    {
        ulong* frame = stackalloc ulong[6];
        frame[0] = e.Code;
        frame[1] = e.Rip;
        frame[2] = c->Segments[SegmentRegister.Cs].Selector;
        frame[3] = e.Flags;
        frame[4] = c->Registers[4];
        frame[5] = c->Segments[SegmentRegister.Ss].Selector;
        int skip = e.HasCode ? 0 : 1;
        int size = (6 - skip) * 8;
        ulong bottom = pointer - (ulong)size;
        if (!SystemMemory.IsCanonical(bottom) || !SystemMemory.IsCanonical(pointer - 1))
        {
            return Fault.StackFault(c);
        }

        pointer = bottom;
        return InstructionPointer.Check(c, code, target) && SystemMemory.Store(c, bottom, frame + skip, size, level == 3);
    }
}
