using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>IRET in every mode (Intel SDM volume 2, IRET).</summary>
internal static unsafe class InterruptReturns
{
    private const ulong AlignmentMask = 1 << 18;
    private const uint Unprotected16 = Flags.Status | Flags.Trap | Flags.Interrupt | Flags.Direction | Flags.IoPrivilege | Flags.NestedTask;
    private const uint Unprotected32 = Unprotected16 | Flags.Resume | Flags.AlignmentCheck | Flags.Identification;
    private const uint Protected16 = Flags.Status | Flags.Trap | Flags.Direction | Flags.NestedTask;
    private const uint Protected32 = Protected16 | Flags.Resume | Flags.AlignmentCheck | Flags.Identification;

    /// <summary>CF.</summary>
    public static bool Return(ProcessorContext* c, Instruction* i)
    {
        if (c->CodeSize == 8 && i->OperandSize == 8 && (c->SystemFlags & Flags.NestedTask) == 0)
        {
            return ReturnLong(c);
        }

        if (!c->Protected)
        {
            return ReturnUnprotected(c, i);
        }

        if ((c->SystemFlags & Flags.NestedTask) != 0)
        {
            if (c->LongMode)
            {
                return Fault.GeneralProtection(c);
            }

            bool ok = TaskSwitch.Return(c, InstructionPointer.Next(c, i));
            if (ok)
            {
                UnblockNonMaskable(c);
            }

            return ok;
        }

        return ReturnProtected(c, i->OperandSize);
    }

    private static bool ReturnUnprotected(ProcessorContext* c, Instruction* i)
    {
        if (c->Virtual8086 && (c->SystemFlags & Flags.IoPrivilege) != Flags.IoPrivilege)
        {
            return Fault.GeneralProtection(c);
        }

        int size = i->OperandSize;
        StackReader stack = StackReader.Current(c);
        if (!stack.Pop(c, size, out ulong rip) || !stack.Pop(c, size, out ulong selector) || !stack.Pop(c, size, out ulong flags))
        {
            return false;
        }

        if (rip > c->Segments[SegmentRegister.Cs].Limit)
        {
            return Fault.GeneralProtection(c);
        }

        uint mask = size == 2 ? Unprotected16 : Unprotected32;
        if (c->Virtual8086)
        {
            mask &= ~Flags.IoPrivilege;
        }

        c->Registers[4] = stack.Pointer;
        CodeLoader.EnterUnprotected(c, (ushort)selector, rip);
        UnblockNonMaskable(c);
        ResumeFlag.SetAll(c, (Flags.Get(c) & ~mask) | ((uint)flags & mask));
        return true;
    }

    private static bool ReturnProtected(ProcessorContext* c, int size)
    {
        StackReader stack = StackReader.Current(c);
        if (!stack.Pop(c, size, out ulong rip) || !stack.Pop(c, size, out ulong popped) || !stack.Pop(c, size, out ulong flags))
        {
            return false;
        }

        if (size == 4 && (flags & Flags.Virtual8086) != 0 && c->Cpl == 0 && !c->LongMode)
        {
            return ToVirtual8086(c, ref stack, rip, (ushort)popped, (uint)flags);
        }

        ushort selector = (ushort)popped;
        if (!ReturnTarget.Check(c, selector, out ReturnTarget target))
        {
            return false;
        }

        bool outer = target.Level != c->Cpl;
        SegmentCache segment = c->Segments[SegmentRegister.Ss];
        ulong pointer = stack.Pointer;
        if (outer || c->CodeSize == 8)
        {
            if (!stack.Pop(c, size, out ulong poppedPointer) || !stack.Pop(c, size, out ulong stackSelector)
                || !target.CheckStack(c, (ushort)stackSelector, out segment))
            {
                return false;
            }

            pointer = target.OuterPointer(c, segment, poppedPointer, 0);
        }

        if (!InstructionPointer.Check(c, target.Descriptor, rip) || !DescriptorTables.SetAccessed(c, target.Linear, target.Descriptor))
        {
            return false;
        }

        uint mask = FlagsMask(c, size);
        c->Registers[4] = pointer;
        c->Segments[SegmentRegister.Ss] = segment;
        CodeLoader.Enter(c, selector, target.Descriptor, target.Level, rip);
        UnblockNonMaskable(c);
        ResumeFlag.SetAll(c, (Flags.Get(c) & ~mask) | ((uint)flags & mask));
        if (outer)
        {
            SegmentLoader.DropInaccessible(c);
        }

        return true;
    }

    // IRETQ in 64-bit mode: RIP, CS, RFLAGS, RSP and SS are always popped.
    private static bool ReturnLong(ProcessorContext* c)
    {
        // The frame is popped by words of eight bytes.
        if (c->Cpl == 3 && (c->Registers[4] & 7) != 0 && (c->SystemFlags & Flags.AlignmentCheck) != 0 && (c->Cr0 & AlignmentMask) != 0)
        {
            return Fault.AlignmentCheck(c);
        }

        if (!GuestAccess.Load(c, SegmentRegister.Ss, c->Registers[4], out LongFrame frame))
        {
            return false;
        }

        ushort selector = (ushort)frame.CodeSelector;
        if (!ReturnTarget.Check(c, selector, out ReturnTarget target)
            || !target.CheckStack(c, (ushort)frame.StackSelector, out SegmentCache segment)
            || !InstructionPointer.Check(c, target.Descriptor, frame.Rip)
            || !DescriptorTables.SetAccessed(c, target.Linear, target.Descriptor))
        {
            return false;
        }

        bool outer = target.Level != c->Cpl;
        uint mask = FlagsMask(c, 8);
        c->Registers[4] = target.OuterPointer(c, segment, frame.Rsp, 0);
        c->Segments[SegmentRegister.Ss] = segment;
        SegmentLoader.Fill(ref c->Segments[SegmentRegister.Cs], selector, target.Descriptor);
        c->Cpl = target.Level;
        c->Rip = frame.Rip;
        if (target.Descriptor.IsLong)
        {
            ProcessorMode.SelectTlb(c);
        }
        else
        {
            ProcessorMode.Update(c);
        }

        UnblockNonMaskable(c);
        ResumeFlag.SetAll(c, (c->SystemFlags & ~mask) | ((uint)frame.Flags & mask));
        if (outer)
        {
            SegmentLoader.DropInaccessible(c);
        }

        return true;
    }

    private static bool ToVirtual8086(ProcessorContext* c, ref StackReader stack, ulong rip, ushort selector, uint flags)
    {
        ulong* values = stackalloc ulong[6];
        for (int n = 0; n < 6; n++)
        {
            if (!stack.Pop(c, 4, out values[n]))
            {
                return false;
            }
        }

        if (rip > 0xffff)
        {
            return Fault.GeneralProtection(c);
        }

        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Cs], selector);
        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Ss], (ushort)values[1]);
        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Es], (ushort)values[2]);
        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Ds], (ushort)values[3]);
        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Fs], (ushort)values[4]);
        SegmentLoader.FillVirtual8086(ref c->Segments[SegmentRegister.Gs], (ushort)values[5]);
        c->Registers[4] = (uint)values[0];
        c->Rip = rip;
        c->Cpl = 3;
        UnblockNonMaskable(c);
        ResumeFlag.SetAll(c, flags);
        return true;
    }

    // What the popped image may change, by the privilege before the return.
    private static uint FlagsMask(ProcessorContext* c, int size)
    {
        uint mask = size == 2 ? Protected16 : Protected32;
        if (IoPermission.HasPrivilege(c))
        {
            mask |= Flags.Interrupt;
        }

        if (c->Cpl == 0)
        {
            mask |= Flags.IoPrivilege;
            if (size != 2)
            {
                mask |= Flags.VirtualInterrupt | Flags.VirtualInterruptPending;
            }
        }

        return mask;
    }

    private static void UnblockNonMaskable(ProcessorContext* c)
    {
        c->NonMaskableBlocked = false;
        if (c->NonMaskablePending != 0)
        {
            Interlocked.Or(ref c->Attention, (int)AttentionBits.NonMaskable);
        }
    }
}
