using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>PUSH, POP, PUSHA, POPA, ENTER, LEAVE, PUSHF, POPF.</summary>
internal static unsafe class StackHandlers
{
    private const int Rsp = 4;
    private const int Rbp = 5;

    public static bool PushRegister<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Stack.Push<TWidth>(c, TWidth.GetRm(c, i));

    public static bool PushImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Stack.Push<TWidth>(c, (ulong)i->Immediate & TWidth.Mask);

    /// <summary>FF /6.</summary>
    public static bool PushRm<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Operand.LoadRm<TWidth>(c, i, out ulong value) && Stack.Push<TWidth>(c, value);

    public static bool PopRegister<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Stack.Pop<TWidth>(c, out ulong value))
        {
            return false;
        }

        TWidth.SetRm(c, i, value);
        return true;
    }

    /// <summary>8F /0: an address that uses RSP sees it after the pop.</summary>
    public static bool PopRm<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong rsp = c->Registers[Rsp];
        if (!Stack.Pop<TWidth>(c, out ulong value))
        {
            return false;
        }

        if (Operand.StoreRm<TWidth>(c, i, value))
        {
            return true;
        }

        c->Registers[Rsp] = rsp;
        return false;
    }

    /// <summary>60.</summary>
    public static bool PushAll<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        // All or nothing: the lowest slot first tells whether the whole frame can be written.
        ulong rsp = c->Registers[Rsp];
        for (int n = 7; n >= 0; n--)
        {
            ulong slot = Stack.Truncate(c, rsp - (ulong)((n + 1) * TWidth.Bytes));
            if (!TWidth.Store(c, SegmentRegister.Ss, slot, c->Registers[n] & TWidth.Mask))
            {
                return false;
            }
        }

        Stack.Advance(c, (ulong)(-8 * TWidth.Bytes));
        return true;
    }

    /// <summary>61: the stored ESP is skipped.</summary>
    public static bool PopAll<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong* values = stackalloc ulong[8];
        for (int n = 0; n < 8; n++)
        {
            ulong slot = Stack.Truncate(c, c->Registers[Rsp] + (ulong)(n * TWidth.Bytes));
            if (!TWidth.Load(c, SegmentRegister.Ss, slot, out values[7 - n]))
            {
                return false;
            }
        }

        for (int n = 0; n < 8; n++)
        {
            if (n != Rsp)
            {
                TWidth.Set(c, n, values[n]);
            }
        }

        Stack.Advance(c, (ulong)(8 * TWidth.Bytes));
        return true;
    }

    /// <summary>C8.</summary>
    public static bool Enter<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        int level = i->Immediate2 & 31;
        ulong rsp = c->Registers[Rsp];
        ulong top = Stack.Truncate(c, rsp - (ulong)TWidth.Bytes);

        // On a 16-bit stack the upper half of ESP goes into the frame pointer too.
        ulong frame = c->StackSize == 2 ? (rsp & ~0xffffUL) | top : top;
        if (!TWidth.Store(c, SegmentRegister.Ss, top, TWidth.Get(c, Rbp)))
        {
            return false;
        }

        ulong link = c->Registers[Rbp];
        for (int n = 1; n < level; n++)
        {
            link -= (ulong)TWidth.Bytes;
            top = Stack.Truncate(c, top - (ulong)TWidth.Bytes);
            if (!TWidth.Load(c, SegmentRegister.Ss, Stack.Truncate(c, link), out ulong value) || !TWidth.Store(c, SegmentRegister.Ss, top, value))
            {
                return false;
            }
        }

        if (level > 0)
        {
            top = Stack.Truncate(c, top - (ulong)TWidth.Bytes);
            if (!TWidth.Store(c, SegmentRegister.Ss, top, frame & TWidth.Mask))
            {
                return false;
            }
        }

        top = Stack.Truncate(c, top - (ulong)i->Immediate);

        // The new top must be writable, as a push there would find.
        GuestAccess.Writable(c, SegmentRegister.Ss, top, TWidth.Bytes, out _, out bool faulted);
        if (faulted)
        {
            return false;
        }

        TWidth.Set(c, Rbp, frame);
        Stack.SetPointer(c, top);
        return true;
    }

    /// <summary>C9.</summary>
    public static bool Leave<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong frame = Stack.Truncate(c, c->Registers[Rbp]);
        if (!TWidth.Load(c, SegmentRegister.Ss, frame, out ulong value))
        {
            return false;
        }

        Stack.SetPointer(c, frame + (ulong)TWidth.Bytes);
        TWidth.Set(c, Rbp, value);
        return true;
    }

    /// <summary>9C.</summary>
    public static bool PushFlags<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (c->Virtual8086 && (c->SystemFlags & Flags.IoPrivilege) != Flags.IoPrivilege)
        {
            return Fault.GeneralProtection(c);
        }

        ulong flags = Flags.Get(c) & ~(ulong)(Flags.Resume | Flags.Virtual8086);
        return Stack.Push<TWidth>(c, flags & TWidth.Mask);
    }

    /// <summary>9D. Sets RIP.</summary>
    public static bool PopFlags<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        uint old = Flags.Get(c);
        uint privilege = (old & Flags.IoPrivilege) >> 12;
        if (c->Virtual8086 && privilege != 3)
        {
            return Fault.GeneralProtection(c);
        }

        if (!Stack.Pop<TWidth>(c, out ulong value))
        {
            return false;
        }

        uint mask = Flags.Status | Flags.Trap | Flags.Direction | Flags.NestedTask | Flags.AlignmentCheck | Flags.Identification | Flags.Resume;
        mask |= c->Cpl <= privilege ? Flags.Interrupt : 0;
        mask |= c->Cpl == 0 ? Flags.IoPrivilege : 0;
        if (TWidth.Bits == 16)
        {
            mask &= 0xffff;
        }

        uint flags = (old & ~mask) | ((uint)value & mask & ~Flags.Resume);
        c->Rip = BranchHandlers.Next(c, i);
        Flags.Set(c, flags);
        return true;
    }
}
