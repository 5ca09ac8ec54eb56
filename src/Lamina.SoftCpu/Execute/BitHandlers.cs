using System.Buffers.Binary;
using System.Numerics;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>What BT, BTS, BTR and BTC do with the bit.</summary>
internal enum BitAction
{
    Test = 0,
    Set = 1,
    Reset = 2,
    Complement = 3,
}

/// <summary>BT to BTC, BSF, BSR, BSWAP.</summary>
internal static unsafe class BitHandlers
{
    /// <summary>0F A3, AB, B3, BB (register offset) and 0F BA /4 to /7 (immediate).</summary>
    public static bool BitTest<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        bool immediate = i->Opcode == 0x1ba;
        BitAction action = (BitAction)((immediate ? i->ModRm >> 3 : i->Opcode >> 3) & 3);
        ulong index = immediate ? (ulong)i->Immediate : TWidth.SignExtend(TWidth.GetReg(c, i));
        int bit = (int)index & (TWidth.Bits - 1);
        if (!i->IsMemory)
        {
            ulong a = TWidth.GetRm(c, i);
            SetCarry(c, (a >> bit) & 1);
            if (action != BitAction.Test)
            {
                TWidth.SetRm(c, i, Apply(action, a, bit));
            }

            return true;
        }

        ulong offset = GuestAccess.EffectiveAddress(c, i);
        if (!immediate)
        {
            offset += (ulong)(((long)index >> BitOperations.Log2((uint)TWidth.Bits)) * TWidth.Bytes);
            offset = i->AddressSize == 8 ? offset : i->AddressSize == 4 ? (uint)offset : (ushort)offset;
        }

        if (action == BitAction.Test)
        {
            if (!TWidth.Load(c, i->Segment, offset, out ulong value))
            {
                return false;
            }

            SetCarry(c, (value >> bit) & 1);
            return true;
        }

        byte* p = GuestAccess.Writable(c, i->Segment, offset, TWidth.Bytes, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        bool locked = (i->Flags & InstructionFlags.Lock) != 0;
        if (p != null && (!locked || Modify.IsOneLine(p, TWidth.Bytes)))
        {
            ulong seen = TWidth.Read(p);
            if (!locked)
            {
                TWidth.Write(p, Apply(action, seen, bit));
            }
            else
            {
                ulong was;
                while ((was = TWidth.CompareExchange(p, Apply(action, seen, bit), seen)) != seen)
                {
                    seen = was;
                }
            }

            SetCarry(c, (seen >> bit) & 1);
            return true;
        }

        if (locked && !Modify.Begin(c))
        {
            return false;
        }

        ulong old = Modify.SlowRead<TWidth>(c, i->Segment, linear);
        bool done = Modify.SlowWrite<TWidth>(c, i->Segment, linear, Apply(action, old, bit));
        SetCarry(c, (old >> bit) & 1);
        if (locked)
        {
            Modify.End(c);
        }

        return done;
    }

    /// <summary>0F BC. A zero source leaves the destination as it was.</summary>
    public static bool ScanForward<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong a))
        {
            return false;
        }

        SetScanFlags(c, a);
        if (a != 0)
        {
            TWidth.SetReg(c, i, (ulong)BitOperations.TrailingZeroCount(a));
        }

        return true;
    }

    /// <summary>0F BD.</summary>
    public static bool ScanReverse<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!Operand.LoadRm<TWidth>(c, i, out ulong a))
        {
            return false;
        }

        SetScanFlags(c, a);
        if (a != 0)
        {
            TWidth.SetReg(c, i, (ulong)BitOperations.Log2(a));
        }

        return true;
    }

    /// <summary>0F C8 to CF.</summary>
    public static bool ByteSwap32(ProcessorContext* c, Instruction* i)
    {
        c->Registers[i->Rm] = BinaryPrimitives.ReverseEndianness((uint)c->Registers[i->Rm]);
        return true;
    }

    /// <summary>With REX.W.</summary>
    public static bool ByteSwap64(ProcessorContext* c, Instruction* i)
    {
        c->Registers[i->Rm] = BinaryPrimitives.ReverseEndianness(c->Registers[i->Rm]);
        return true;
    }

    /// <summary>With a 66 prefix the result is undefined; zero, as on current processors.</summary>
    public static bool ByteSwap16(ProcessorContext* c, Instruction* i)
    {
        *(ushort*)(c->Registers + i->Rm) = 0;
        return true;
    }

    private static ulong Apply(BitAction action, ulong value, int bit)
    {
        ulong mask = 1UL << bit;
        return action switch
        {
            BitAction.Set => value | mask,
            BitAction.Reset => value & ~mask,
            BitAction.Complement => value ^ mask,
            _ => value,
        };
    }

    private static void SetCarry(ProcessorContext* c, ulong carry) => c->FlagCarry = (c->FlagCarry & ~1u) | (uint)carry;

    // Only ZF is defined; the others keep their values, as on current processors.
    private static void SetScanFlags(ProcessorContext* c, ulong a)
    {
        uint flags = Flags.GetStatus(c);
        Flags.SetStatus(c, a == 0 ? flags | Flags.Zero : flags & ~Flags.Zero);
    }
}
