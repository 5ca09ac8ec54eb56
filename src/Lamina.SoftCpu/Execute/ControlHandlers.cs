using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>Flag instructions, HLT, CLI, STI, undefined instructions.</summary>
internal static unsafe class ControlHandlers
{
    /// <summary>Stands in for every instruction of a block whose code has changed.</summary>
    public static bool Invalidated(ProcessorContext* c, Instruction* i)
    {
        c->Outcome = HandlerOutcome.Invalidated;
        return false;
    }

    public static bool Undefined(ProcessorContext* c, Instruction* i) => Fault.InvalidOpcode(c);

    public static bool ClearCarry(ProcessorContext* c, Instruction* i)
    {
        c->FlagCarry &= ~Flags.Carry;
        return true;
    }

    public static bool SetCarry(ProcessorContext* c, Instruction* i)
    {
        c->FlagCarry |= Flags.Carry;
        return true;
    }

    public static bool ComplementCarry(ProcessorContext* c, Instruction* i)
    {
        c->FlagCarry ^= Flags.Carry;
        return true;
    }

    public static bool ClearDirection(ProcessorContext* c, Instruction* i)
    {
        c->SystemFlags &= ~Flags.Direction;
        return true;
    }

    public static bool SetDirection(ProcessorContext* c, Instruction* i)
    {
        c->SystemFlags |= Flags.Direction;
        return true;
    }

    /// <summary>9F.</summary>
    public static bool LoadAh(ProcessorContext* c, Instruction* i)
    {
        ((byte*)c->Registers)[1] = (byte)(Flags.GetStatus(c) | Flags.Reserved1);
        return true;
    }

    /// <summary>9E.</summary>
    public static bool StoreAh(ProcessorContext* c, Instruction* i)
    {
        uint overflow = c->FlagCarry & Flags.Overflow;
        Flags.SetStatus(c, ((byte*)c->Registers)[1] | overflow);
        return true;
    }

    /// <summary>D6: AL is all ones if CF is set.</summary>
    public static bool SetAlFromCarry(ProcessorContext* c, Instruction* i)
    {
        *(byte*)c->Registers = (byte)((c->FlagCarry & 1) == 0 ? 0 : 0xff);
        return true;
    }

    /// <summary>FA.</summary>
    public static bool ClearInterrupt(ProcessorContext* c, Instruction* i)
    {
        if (!InterruptFlagPermitted(c))
        {
            return Fault.GeneralProtection(c);
        }

        c->SystemFlags &= ~Flags.Interrupt;
        return true;
    }

    /// <summary>FB: interrupts wait for one more instruction. Leaves the block if there may be one.</summary>
    public static bool SetInterrupt(ProcessorContext* c, Instruction* i)
    {
        if (!InterruptFlagPermitted(c))
        {
            return Fault.GeneralProtection(c);
        }

        if ((c->SystemFlags & Flags.Interrupt) != 0)
        {
            return true;
        }

        c->SystemFlags |= Flags.Interrupt;
        return !c->InterruptHeld || HoldInterrupts(c, i);
    }

    /// <summary>The same as the last instruction of a block, behind which somebody may look up. Sets RIP.</summary>
    public static bool SetInterruptLast(ProcessorContext* c, Instruction* i)
    {
        if (!InterruptFlagPermitted(c))
        {
            return Fault.GeneralProtection(c);
        }

        if ((c->SystemFlags & Flags.Interrupt) != 0)
        {
            c->Rip = BranchHandlers.Next(c, i);
            return true;
        }

        c->SystemFlags |= Flags.Interrupt;
        return HoldInterrupts(c, i);
    }

    /// <summary>F4. Sets RIP.</summary>
    public static bool Halt(ProcessorContext* c, Instruction* i)
    {
        if (c->Cpl != 0)
        {
            return Fault.GeneralProtection(c);
        }

        c->Rip = BranchHandlers.Next(c, i);
        c->Halted = true;
        c->HaltEndsMasked = false;
        Interlocked.Or(ref c->Attention, (int)AttentionBits.Halt);
        return true;
    }

    /// <summary>F3 90: lets another vCPU thread run now and then.</summary>
    public static bool Pause(ProcessorContext* c, Instruction* i)
    {
        Thread.SpinWait(1);
        return true;
    }

    /// <summary>62 outside 64-bit mode.</summary>
    public static bool Bound<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (!TWidth.Load(c, i->Segment, offset, out ulong lower) || !TWidth.Load(c, i->Segment, (uint)(offset + (ulong)TWidth.Bytes), out ulong upper))
        {
            return false;
        }

        long index = (long)TWidth.SignExtend(TWidth.GetReg(c, i));
        return (index >= (long)TWidth.SignExtend(lower) && index <= (long)TWidth.SignExtend(upper)) || Fault.Raise(c, Fault.BoundRangeVector);
    }

    // The instruction is complete, and the next one is to be executed alone.
    private static bool HoldInterrupts(ProcessorContext* c, Instruction* i)
    {
        c->Rip = BranchHandlers.Next(c, i);
        c->InterruptShadow = true;
        c->InstructionsRetired++;
        Interlocked.Or(ref c->Attention, (int)(AttentionBits.Step | AttentionBits.Interrupt));
        c->Outcome = HandlerOutcome.Continue;
        return false;
    }

    private static bool InterruptFlagPermitted(ProcessorContext* c)
    {
        return !(c->Protected || c->Virtual8086) || c->Cpl <= (c->SystemFlags & Flags.IoPrivilege) >> 12;
    }
}
