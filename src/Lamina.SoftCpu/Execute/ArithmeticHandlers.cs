using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>ADD to CMP, TEST, INC, DEC, NEG, NOT in all their forms.</summary>
internal static unsafe class ArithmeticHandlers
{
    public static bool RmReg<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong r = TOperation.Apply<TWidth>(c, TWidth.GetRm(c, i), TWidth.GetReg(c, i));
        if (TOperation.Writes)
        {
            TWidth.SetRm(c, i, r);
        }

        return true;
    }

    public static bool RegRm<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong r = TOperation.Apply<TWidth>(c, TWidth.GetReg(c, i), TWidth.GetRm(c, i));
        if (TOperation.Writes)
        {
            TWidth.SetReg(c, i, r);
        }

        return true;
    }

    public static bool RegMemory<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, GuestAccess.EffectiveAddress(c, i), out ulong b))
        {
            return false;
        }

        ulong r = TOperation.Apply<TWidth>(c, TWidth.GetReg(c, i), b);
        if (TOperation.Writes)
        {
            TWidth.SetReg(c, i, r);
        }

        return true;
    }

    public static bool MemoryReg<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        if (TOperation.Writes)
        {
            return Modify.Memory<TOperation, TWidth>(c, i, TWidth.GetReg(c, i));
        }

        if (!TWidth.Load(c, i->Segment, GuestAccess.EffectiveAddress(c, i), out ulong a))
        {
            return false;
        }

        TOperation.Apply<TWidth>(c, a, TWidth.GetReg(c, i));
        return true;
    }

    public static bool RmImmediate<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong r = TOperation.Apply<TWidth>(c, TWidth.GetRm(c, i), (ulong)i->Immediate & TWidth.Mask);
        if (TOperation.Writes)
        {
            TWidth.SetRm(c, i, r);
        }

        return true;
    }

    public static bool MemoryImmediate<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong b = (ulong)i->Immediate & TWidth.Mask;
        if (TOperation.Writes)
        {
            return Modify.Memory<TOperation, TWidth>(c, i, b);
        }

        if (!TWidth.Load(c, i->Segment, GuestAccess.EffectiveAddress(c, i), out ulong a))
        {
            return false;
        }

        TOperation.Apply<TWidth>(c, a, b);
        return true;
    }

    public static bool AccumulatorImmediate<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth
    {
        ulong r = TOperation.Apply<TWidth>(c, TWidth.Get(c, 0), (ulong)i->Immediate & TWidth.Mask);
        if (TOperation.Writes)
        {
            TWidth.Set(c, 0, r);
        }

        return true;
    }

    public static bool LockedReg<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth => Modify.Locked<TOperation, TWidth>(c, i, TWidth.GetReg(c, i));

    public static bool LockedImmediate<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IAluOperation
        where TWidth : struct, IWidth => Modify.Locked<TOperation, TWidth>(c, i, (ulong)i->Immediate & TWidth.Mask);

    public static bool Lea<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        TWidth.SetReg(c, i, GuestAccess.EffectiveAddress(c, i) & TWidth.Mask);
        return true;
    }

    /// <summary>IMUL reg, r/m.</summary>
    public static bool MultiplyReg<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong b))
        {
            return false;
        }

        TWidth.SetReg(c, i, MultiplySigned<TWidth>(c, TWidth.GetReg(c, i), b, out _));
        return true;
    }

    /// <summary>IMUL reg, r/m, immediate.</summary>
    public static bool MultiplyRegImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong a))
        {
            return false;
        }

        TWidth.SetReg(c, i, MultiplySigned<TWidth>(c, a, (ulong)i->Immediate & TWidth.Mask, out _));
        return true;
    }

    /// <summary>F6/F7 /4 and /5.</summary>
    public static bool MultiplyAccumulator<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong b))
        {
            return false;
        }

        ulong a = TWidth.Get(c, 0);
        ulong low;
        ulong high;
        if ((i->ModRm & 8) != 0)
        {
            low = MultiplySigned<TWidth>(c, a, b, out high);
        }
        else
        {
            if (TWidth.Bits == 64)
            {
                high = Math.BigMul(a, b, out low);
            }
            else
            {
                ulong product = a * b;
                low = product & TWidth.Mask;
                high = product >> TWidth.Bits;
            }

            SetMultiplyFlags<TWidth>(c, low, high != 0);
        }

        SetDouble<TWidth>(c, low, high);
        return true;
    }

    /// <summary>F6/F7 /6.</summary>
    public static bool DivideUnsigned<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong divisor))
        {
            return false;
        }

        ulong high = TWidth.Bits == 8 ? (c->Registers[0] >> 8) & 0xff : TWidth.Get(c, 2);
        ulong low = TWidth.Get(c, 0);
        if (high >= divisor)
        {
            return Fault.DivideError(c);
        }

        ulong quotient;
        ulong remainder;
        if (TWidth.Bits == 64)
        {
            if (high == 0)
            {
                (quotient, remainder) = Math.DivRem(low, divisor);
            }
            else
            {
                UInt128 dividend = new(high, low);
                UInt128 q = dividend / divisor;
                quotient = (ulong)q;
                remainder = low - (quotient * divisor);
            }
        }
        else
        {
            (quotient, remainder) = Math.DivRem((high << TWidth.Bits) | low, divisor);
        }

        SetDouble<TWidth>(c, quotient, remainder);
        return true;
    }

    /// <summary>F6/F7 /7.</summary>
    public static bool DivideSigned<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong raw))
        {
            return false;
        }

        long divisor = (long)TWidth.SignExtend(raw);
        if (divisor == 0)
        {
            return Fault.DivideError(c);
        }

        ulong high = TWidth.Bits == 8 ? (c->Registers[0] >> 8) & 0xff : TWidth.Get(c, 2);
        ulong low = TWidth.Get(c, 0);
        Int128 dividend = TWidth.Bits == 64
            ? new Int128(high, low)
            : (long)(TWidth.SignExtend(high) << TWidth.Bits) | (long)low;
        Int128 quotient;
        Int128 remainder;
        if (divisor == -1 && dividend == Int128.MinValue)
        {
            return Fault.DivideError(c);
        }

        if (dividend >= long.MinValue + 1 && dividend <= long.MaxValue)
        {
            (long q, long r) = Math.DivRem((long)dividend, divisor);
            (quotient, remainder) = (q, r);
        }
        else
        {
            quotient = dividend / divisor;
            remainder = dividend - (quotient * divisor);
        }

        Int128 limit = Int128.One << (TWidth.Bits - 1);
        if (quotient >= limit || quotient < -limit)
        {
            return Fault.DivideError(c);
        }

        SetDouble<TWidth>(c, (ulong)quotient & TWidth.Mask, (ulong)remainder & TWidth.Mask);
        return true;
    }

    private static ulong MultiplySigned<TWidth>(ProcessorContext* c, ulong a, ulong b, out ulong high)
        where TWidth : struct, IWidth
    {
        long x = (long)TWidth.SignExtend(a);
        long y = (long)TWidth.SignExtend(b);
        ulong low;
        bool overflow;
        if (TWidth.Bits == 64)
        {
            long h = Math.BigMul(x, y, out long l);
            low = (ulong)l;
            high = (ulong)h;
            overflow = h != l >> 63;
        }
        else
        {
            long product = x * y;
            low = (ulong)product & TWidth.Mask;
            high = (ulong)(product >> TWidth.Bits) & TWidth.Mask;
            overflow = product != (long)TWidth.SignExtend(low);
        }

        SetMultiplyFlags<TWidth>(c, low, overflow);
        return low;
    }

    // SF, ZF, AF and PF are undefined; they are left as a function of the result, as current processors do for SF and PF.
    private static void SetMultiplyFlags<TWidth>(ProcessorContext* c, ulong low, bool overflow)
        where TWidth : struct, IWidth
    {
        Alu.Logic<TWidth>(c, low);
        c->FlagZero = 1;
        c->FlagCarry = overflow ? Flags.Carry | Flags.Overflow : 0;
    }

    private static void SetDouble<TWidth>(ProcessorContext* c, ulong low, ulong high)
        where TWidth : struct, IWidth
    {
        if (TWidth.Bits == 8)
        {
            *(ushort*)c->Registers = (ushort)((high << 8) | (low & 0xff));
        }
        else
        {
            TWidth.Set(c, 0, low);
            TWidth.Set(c, 2, high);
        }
    }
}
