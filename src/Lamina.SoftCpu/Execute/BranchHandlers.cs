using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>Near jumps, calls and returns. They set RIP themselves.</summary>
internal static unsafe class BranchHandlers
{
    /// <summary>Address of the next instruction, as the code size holds it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Next(ProcessorContext* c, Instruction* i)
    {
        ulong next = c->Rip + i->Length;
        return c->CodeSize == 8 ? next : (uint)next;
    }

    /// <summary>Goes to a near target. False after #GP if it is not canonical or beyond the code segment's limit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Go(ProcessorContext* c, ulong target, int operandSize)
    {
        if (c->CodeSize == 8)
        {
            if (!MemoryUnit.IsCanonical(target))
            {
                return Fault.GeneralProtection(c);
            }
        }
        else
        {
            target = operandSize == 2 ? (ushort)target : (uint)target;
            if (target > c->Segments[SegmentRegister.Cs].Limit)
            {
                return Fault.GeneralProtection(c);
            }
        }

        c->Rip = target;
        return true;
    }

    /// <summary>E9, EB.</summary>
    public static bool Jump(ProcessorContext* c, Instruction* i) => Go(c, c->Rip + i->Length + (ulong)i->Immediate, i->OperandSize);

    /// <summary>70 to 7F, 0F 80 to 8F.</summary>
    public static bool Conditional<TCondition>(ProcessorContext* c, Instruction* i)
        where TCondition : struct, ICondition
    {
        if (TCondition.Test(c))
        {
            return Go(c, c->Rip + i->Length + (ulong)i->Immediate, i->OperandSize);
        }

        c->Rip = Next(c, i);
        return true;
    }

    /// <summary>FF /4.</summary>
    public static bool JumpIndirect<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Operand.LoadRm<TWidth>(c, i, out ulong target) && Go(c, target, i->OperandSize);

    /// <summary>E8.</summary>
    public static bool Call<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong next = Next(c, i);
        return CallTo<TWidth>(c, next + (ulong)i->Immediate, next);
    }

    /// <summary>FF /2.</summary>
    public static bool CallIndirect<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        return Operand.LoadRm<TWidth>(c, i, out ulong target) && CallTo<TWidth>(c, target, Next(c, i));
    }

    /// <summary>C3, C2.</summary>
    public static bool Return<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, SegmentRegister.Ss, Stack.Pointer(c), out ulong target) || !Go(c, target, TWidth.Bytes))
        {
            return false;
        }

        Stack.Advance(c, (ulong)TWidth.Bytes + (ulong)i->Immediate);
        return true;
    }

    /// <summary>E0 to E2: LOOPNE, LOOPE, LOOP.</summary>
    public static bool Loop(ProcessorContext* c, Instruction* i)
    {
        ulong count = StringHandlers.Truncate(c->Registers[1] - 1, i->AddressSize);
        bool taken = count != 0 && (i->Opcode == 0xe2 || (c->FlagZero == 0) == (i->Opcode == 0xe1));
        if (taken && !Go(c, c->Rip + i->Length + (ulong)i->Immediate, i->OperandSize))
        {
            return false;
        }

        StringHandlers.SetAddressRegister(c, 1, count, i->AddressSize);
        if (!taken)
        {
            c->Rip = Next(c, i);
        }

        return true;
    }

    /// <summary>E3.</summary>
    public static bool JumpIfCountZero(ProcessorContext* c, Instruction* i)
    {
        if (StringHandlers.Truncate(c->Registers[1], i->AddressSize) == 0)
        {
            return Go(c, c->Rip + i->Length + (ulong)i->Immediate, i->OperandSize);
        }

        c->Rip = Next(c, i);
        return true;
    }

    private static bool CallTo<TWidth>(ProcessorContext* c, ulong target, ulong next)
        where TWidth : struct, IWidth
    {
        // The target is checked before the push, the push before the jump: nothing to undo.
        ulong rip = c->Rip;
        if (!Go(c, target, TWidth.Bytes))
        {
            return false;
        }

        if (!Stack.Push<TWidth>(c, next & TWidth.Mask))
        {
            c->Rip = rip;
            return false;
        }

        return true;
    }
}
