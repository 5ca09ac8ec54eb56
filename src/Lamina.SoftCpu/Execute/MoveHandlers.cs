using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>Moves, extensions, exchanges, conditional moves and sets.</summary>
internal static unsafe class MoveHandlers
{
    public static bool RmReg<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        TWidth.SetRm(c, i, TWidth.GetReg(c, i));
        return true;
    }

    public static bool RegRm<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        TWidth.SetReg(c, i, TWidth.GetRm(c, i));
        return true;
    }

    public static bool MemoryReg<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => TWidth.Store(c, i->Segment, GuestAccess.EffectiveAddress(c, i), TWidth.GetReg(c, i));

    public static bool RegMemory<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, GuestAccess.EffectiveAddress(c, i), out ulong value))
        {
            return false;
        }

        TWidth.SetReg(c, i, value);
        return true;
    }

    public static bool RmImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Operand.StoreRm<TWidth>(c, i, (ulong)i->Immediate & TWidth.Mask);

    /// <summary>B0 to BF.</summary>
    public static bool RegisterImmediate<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        TWidth.SetRm(c, i, (ulong)i->Immediate & TWidth.Mask);
        return true;
    }

    /// <summary>A0, A1.</summary>
    public static bool AccumulatorOffset<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, (ulong)i->Immediate, out ulong value))
        {
            return false;
        }

        TWidth.Set(c, 0, value);
        return true;
    }

    /// <summary>A2, A3.</summary>
    public static bool OffsetAccumulator<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => TWidth.Store(c, i->Segment, (ulong)i->Immediate, TWidth.Get(c, 0));

    public static bool ZeroExtend<TFrom, TTo>(ProcessorContext* c, Instruction* i)
        where TFrom : struct, IWidth
        where TTo : struct, IWidth
    {
        if (!Operand.LoadRm<TFrom>(c, i, out ulong value))
        {
            return false;
        }

        TTo.SetReg(c, i, value);
        return true;
    }

    public static bool SignExtend<TFrom, TTo>(ProcessorContext* c, Instruction* i)
        where TFrom : struct, IWidth
        where TTo : struct, IWidth
    {
        if (!Operand.LoadRm<TFrom>(c, i, out ulong value))
        {
            return false;
        }

        TTo.SetReg(c, i, TFrom.SignExtend(value) & TTo.Mask);
        return true;
    }

    /// <summary>86, 87: a memory form is locked whether or not it says so.</summary>
    public static bool Exchange<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong reg = TWidth.GetReg(c, i);
        if (!i->IsMemory)
        {
            ulong rm = TWidth.GetRm(c, i);
            TWidth.SetRm(c, i, reg);
            TWidth.SetReg(c, i, rm);
            return true;
        }

        return AtomicHandlers.ExchangeMemory<TWidth>(c, i, reg);
    }

    /// <summary>90 to 97.</summary>
    public static bool ExchangeAccumulator<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        ulong a = TWidth.Get(c, 0);
        TWidth.Set(c, 0, TWidth.GetRm(c, i));
        TWidth.SetRm(c, i, a);
        return true;
    }

    public static bool ConditionalMove<TCondition, TWidth>(ProcessorContext* c, Instruction* i)
        where TCondition : struct, ICondition
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong value))
        {
            return false;
        }

        // A 32-bit destination is zero-extended even if the condition fails.
        TWidth.SetReg(c, i, TCondition.Test(c) ? value : TWidth.GetReg(c, i));
        return true;
    }

    public static bool SetByte<TCondition>(ProcessorContext* c, Instruction* i)
        where TCondition : struct, ICondition => Operand.StoreRm<Width8>(c, i, TCondition.Test(c) ? 1UL : 0);

    /// <summary>98: CBW, CWDE, CDQE.</summary>
    public static bool ConvertAccumulator<TFrom, TTo>(ProcessorContext* c, Instruction* i)
        where TFrom : struct, IWidth
        where TTo : struct, IWidth
    {
        TTo.Set(c, 0, TFrom.SignExtend(TFrom.Get(c, 0)) & TTo.Mask);
        return true;
    }

    /// <summary>99: CWD, CDQ, CQO.</summary>
    public static bool ConvertDouble<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        TWidth.Set(c, 2, (ulong)((long)TWidth.SignExtend(TWidth.Get(c, 0)) >> 63) & TWidth.Mask);
        return true;
    }

    /// <summary>D7.</summary>
    public static bool Translate(ProcessorContext* c, Instruction* i)
    {
        ulong offset = c->Registers[3] + (byte)c->Registers[0];
        offset = i->AddressSize == 8 ? offset : i->AddressSize == 4 ? (uint)offset : (ushort)offset;
        if (!GuestAccess.Load(c, i->Segment, offset, out byte value))
        {
            return false;
        }

        *(byte*)c->Registers = value;
        return true;
    }

    /// <summary>NOP and every hint that needs nothing.</summary>
    public static bool Nothing(ProcessorContext* c, Instruction* i) => true;

    /// <summary>CLFLUSH, CLFLUSHOPT, CLWB: the line must be readable, otherwise nothing happens.</summary>
    public static bool FlushLine(ProcessorContext* c, Instruction* i) => GuestAccess.Load(c, i, out byte _);

    /// <summary>LFENCE, MFENCE, SFENCE.</summary>
    public static bool Fence(ProcessorContext* c, Instruction* i)
    {
        Interlocked.MemoryBarrier();
        return true;
    }
}
