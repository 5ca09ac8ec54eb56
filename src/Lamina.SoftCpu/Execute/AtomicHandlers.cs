using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Emit;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>XCHG, XADD, CMPXCHG, CMPXCHG8B and CMPXCHG16B. Memory forms are always done atomically: with or without LOCK nobody can tell a slower from a faster way.</summary>
internal static unsafe class AtomicHandlers
{
    /// <summary>Stores <paramref name="value"/> and puts what was there into ModRM.reg.</summary>
    public static bool ExchangeMemory<TWidth>(ProcessorContext* c, Instruction* i, ulong value)
        where TWidth : struct, IWidth
    {
        byte* p = GuestAccess.Writable(c, i->Segment, GuestAccess.EffectiveAddress(c, i), TWidth.Bytes, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        if (p != null && Modify.IsOneLine(p, TWidth.Bytes))
        {
            ulong seen = TWidth.Read(p);
            ulong was;
            while ((was = TWidth.CompareExchange(p, value, seen)) != seen)
            {
                seen = was;
            }

            TWidth.SetReg(c, i, seen);
            return true;
        }

        if (!Modify.Begin(c))
        {
            return false;
        }

        ulong old = Modify.SlowRead<TWidth>(c, i->Segment, linear);
        bool done = Modify.SlowWrite<TWidth>(c, i->Segment, linear, value);
        Modify.End(c);
        TWidth.SetReg(c, i, old);
        return done;
    }

    /// <summary>0F C0, C1.</summary>
    public static bool ExchangeAdd<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong reg = TWidth.GetReg(c, i);
        if (!i->IsMemory)
        {
            ulong rm = TWidth.GetRm(c, i);
            ulong sum = Alu.Add<TWidth>(c, rm, reg, 0);
            TWidth.SetReg(c, i, rm);
            TWidth.SetRm(c, i, sum);
            return true;
        }

        byte* p = GuestAccess.Writable(c, i->Segment, GuestAccess.EffectiveAddress(c, i), TWidth.Bytes, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        ulong old;
        bool done = true;
        if (p != null && Modify.IsOneLine(p, TWidth.Bytes))
        {
            old = TWidth.Read(p);
            ulong was;
            while ((was = TWidth.CompareExchange(p, (old + reg) & TWidth.Mask, old)) != old)
            {
                old = was;
            }
        }
        else
        {
            if (!Modify.Begin(c))
            {
                return false;
            }

            old = Modify.SlowRead<TWidth>(c, i->Segment, linear);
            done = Modify.SlowWrite<TWidth>(c, i->Segment, linear, (old + reg) & TWidth.Mask);
            Modify.End(c);
        }

        Alu.Add<TWidth>(c, old, reg, 0);
        TWidth.SetReg(c, i, old);
        return done;
    }

    /// <summary>0F B0, B1. The destination is written even if the comparison fails.</summary>
    public static bool CompareExchange<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong reg = TWidth.GetReg(c, i);
        ulong accumulator = TWidth.Get(c, 0);
        ulong old;
        bool done = true;
        if (!i->IsMemory)
        {
            old = TWidth.GetRm(c, i);
            if (old == accumulator)
            {
                TWidth.SetRm(c, i, reg);
            }
        }
        else
        {
            byte* p = GuestAccess.Writable(c, i->Segment, GuestAccess.EffectiveAddress(c, i), TWidth.Bytes, out ulong linear, out bool faulted);
            if (faulted)
            {
                return false;
            }

            if (p != null && Modify.IsOneLine(p, TWidth.Bytes))
            {
                old = TWidth.CompareExchange(p, reg, accumulator);
            }
            else
            {
                if (!Modify.Begin(c))
                {
                    return false;
                }

                old = Modify.SlowRead<TWidth>(c, i->Segment, linear);
                done = Modify.SlowWrite<TWidth>(c, i->Segment, linear, old == accumulator ? reg : old);
                Modify.End(c);
            }
        }

        Alu.Subtract<TWidth>(c, accumulator, old, 0);
        if (old != accumulator)
        {
            TWidth.Set(c, 0, old);
        }

        return done;
    }

    /// <summary>0F C7 /1 without REX.W.</summary>
    public static bool CompareExchange8(ProcessorContext* c, Instruction* i)
    {
        ulong comparand = (c->Registers[2] << 32) | (uint)c->Registers[0];
        ulong value = (c->Registers[1] << 32) | (uint)c->Registers[3];
        byte* p = GuestAccess.Writable(c, i->Segment, GuestAccess.EffectiveAddress(c, i), 8, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        ulong old;
        bool done = true;
        if (p != null && Modify.IsOneLine(p, 8))
        {
            old = Width64.CompareExchange(p, value, comparand);
        }
        else
        {
            if (!Modify.Begin(c))
            {
                return false;
            }

            old = Modify.SlowRead<Width64>(c, i->Segment, linear);
            done = Modify.SlowWrite<Width64>(c, i->Segment, linear, old == comparand ? value : old);
            Modify.End(c);
        }

        SetZero(c, old == comparand);
        if (old != comparand)
        {
            c->Registers[0] = (uint)old;
            c->Registers[2] = old >> 32;
        }

        return done;
    }

    /// <summary>0F C7 /1 with REX.W: the operand must be aligned.</summary>
    public static bool CompareExchange16(ProcessorContext* c, Instruction* i)
    {
        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (!GuestAccess.Linear(c, i->Segment, offset, 16, true, out ulong address))
        {
            return false;
        }

        if ((address & 15) != 0)
        {
            return Fault.GeneralProtection(c);
        }

        byte* p = GuestAccess.Writable(c, i->Segment, offset, 16, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        ulong* expected = stackalloc ulong[2];
        ulong* value = stackalloc ulong[2];
        expected[0] = c->Registers[0];
        expected[1] = c->Registers[2];
        value[0] = c->Registers[3];
        value[1] = c->Registers[1];
        bool equal;
        if (p != null)
        {
            equal = NativeRoutines.CompareExchange16(p, expected, value);
        }
        else
        {
            if (!Modify.Begin(c))
            {
                return false;
            }

            ulong* old = stackalloc ulong[2];
            MemoryUnit.LoadSlow(c, i->Segment, linear, (byte*)old, 16);
            equal = old[0] == expected[0] && old[1] == expected[1];
            MemoryUnit.StoreSlow(c, i->Segment, linear, (byte*)(equal ? value : old), 16);
            Modify.End(c);
            expected[0] = old[0];
            expected[1] = old[1];
        }

        SetZero(c, equal);
        if (!equal)
        {
            c->Registers[0] = expected[0];
            c->Registers[2] = expected[1];
        }

        return true;
    }

    private static void SetZero(ProcessorContext* c, bool zero)
    {
        uint flags = Flags.GetStatus(c);
        Flags.SetStatus(c, zero ? flags | Flags.Zero : flags & ~Flags.Zero);
    }
}
