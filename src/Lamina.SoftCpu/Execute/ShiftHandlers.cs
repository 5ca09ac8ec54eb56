using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>A shift or rotate. OF for counts above one is what current processors give.</summary>
internal unsafe interface IShiftOperation
{
    /// <summary>Applies it with a count already masked to 5 or 6 bits and not zero.</summary>
    static abstract ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth;
}

internal unsafe struct Rol : IShiftOperation
{
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        int n = count & (TWidth.Bits - 1);
        ulong r = n == 0 ? a : ((a << n) | (a >> (TWidth.Bits - n))) & TWidth.Mask;
        uint carry = (uint)r & 1;
        uint overflow = carry ^ (uint)((r >> (TWidth.Bits - 1)) & 1);
        ShiftHandlers.SetRotateFlags(c, carry, overflow);
        return r;
    }
}

internal unsafe struct Ror : IShiftOperation
{
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        int n = count & (TWidth.Bits - 1);
        ulong r = n == 0 ? a : ((a >> n) | (a << (TWidth.Bits - n))) & TWidth.Mask;
        uint carry = (uint)(r >> (TWidth.Bits - 1)) & 1;
        uint overflow = carry ^ (uint)((r >> (TWidth.Bits - 2)) & 1);
        ShiftHandlers.SetRotateFlags(c, carry, overflow);
        return r;
    }
}

internal unsafe struct Rcl : IShiftOperation
{
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        int n = count % (TWidth.Bits + 1);
        uint carry = c->FlagCarry & 1;
        ulong r = a;
        if (n != 0)
        {
            ulong right = n == 1 ? 0 : a >> (TWidth.Bits + 1 - n);
            r = ((n == TWidth.Bits ? 0 : a << n) | ((ulong)carry << (n - 1)) | right) & TWidth.Mask;
            carry = (uint)(a >> (TWidth.Bits - n)) & 1;
        }

        uint overflow = carry ^ (uint)((r >> (TWidth.Bits - 1)) & 1);
        ShiftHandlers.SetRotateFlags(c, carry, overflow);
        return r;
    }
}

internal unsafe struct Rcr : IShiftOperation
{
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        int n = count % (TWidth.Bits + 1);
        uint carry = c->FlagCarry & 1;
        ulong r = a;
        if (n != 0)
        {
            ulong left = n == 1 ? 0 : a << (TWidth.Bits + 1 - n);
            r = ((n == TWidth.Bits ? 0 : a >> n) | ((ulong)carry << (TWidth.Bits - n)) | left) & TWidth.Mask;
            carry = (uint)(a >> (n - 1)) & 1;
        }

        uint overflow = (uint)(((r >> (TWidth.Bits - 1)) ^ (r >> (TWidth.Bits - 2))) & 1);
        ShiftHandlers.SetRotateFlags(c, carry, overflow);
        return r;
    }
}

internal unsafe struct Shl : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        ulong r = (a << count) & TWidth.Mask;
        uint carry = count <= TWidth.Bits ? (uint)((a >> (TWidth.Bits - count)) & 1) : 0;
        Alu.Logic<TWidth>(c, r);
        c->FlagCarry = carry | ((carry ^ (uint)((r >> (TWidth.Bits - 1)) & 1)) << 11);
        return r;
    }
}

internal unsafe struct Shr : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        ulong r = a >> count;
        uint carry = (uint)((a >> (count - 1)) & 1);
        uint overflow = (uint)((((r << 1) ^ r) >> (TWidth.Bits - 1)) & 1);
        Alu.Logic<TWidth>(c, r);
        c->FlagCarry = carry | (overflow << 11);
        return r;
    }
}

internal unsafe struct Sar : IShiftOperation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, int count)
        where TWidth : struct, IWidth
    {
        long value = (long)TWidth.SignExtend(a);
        ulong r = (ulong)(value >> count) & TWidth.Mask;
        uint carry = (uint)(value >> (count - 1)) & 1;
        Alu.Logic<TWidth>(c, r);
        c->FlagCarry = carry;
        return r;
    }
}

/// <summary>C0, C1, D0 to D3, SHLD, SHRD.</summary>
internal static unsafe class ShiftHandlers
{
    public static bool ByOne<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IShiftOperation
        where TWidth : struct, IWidth => Shift<TOperation, TWidth>(c, i, 1);

    public static bool ByImmediate<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IShiftOperation
        where TWidth : struct, IWidth => Shift<TOperation, TWidth>(c, i, (int)i->Immediate & CountMask<TWidth>());

    public static bool ByCl<TOperation, TWidth>(ProcessorContext* c, Instruction* i)
        where TOperation : struct, IShiftOperation
        where TWidth : struct, IWidth => Shift<TOperation, TWidth>(c, i, (int)c->Registers[1] & CountMask<TWidth>());

    /// <summary>0F A4, A5, AC, AD: bit 3 of the opcode chooses the direction, bit 0 the count in CL.</summary>
    public static bool Double<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        int count = (int)((i->Opcode & 1) != 0 ? (long)c->Registers[1] : i->Immediate) & CountMask<TWidth>();
        bool right = (i->Opcode & 8) != 0;
        if (!i->IsMemory)
        {
            if (count == 0)
            {
                // A 32-bit destination is zero-extended all the same.
                TWidth.SetRm(c, i, TWidth.GetRm(c, i));
                return true;
            }

            TWidth.SetRm(c, i, DoubleShift<TWidth>(c, TWidth.GetRm(c, i), TWidth.GetReg(c, i), count, right));
            return true;
        }

        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* p = GuestAccess.Writable(c, i->Segment, offset, TWidth.Bytes, out ulong linear, out bool faulted);
        if (faulted)
        {
            return false;
        }

        ulong a = p != null ? TWidth.Read(p) : Modify.SlowRead<TWidth>(c, i->Segment, linear);
        if (count == 0)
        {
            return true;
        }

        ulong r = DoubleShift<TWidth>(c, a, TWidth.GetReg(c, i), count, right);
        if (p == null)
        {
            return Modify.SlowWrite<TWidth>(c, i->Segment, linear, r);
        }

        TWidth.Write(p, r);
        return true;
    }

    /// <summary>Rotates change CF and OF only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRotateFlags(ProcessorContext* c, uint carry, uint overflow)
    {
        c->FlagCarry = (c->FlagCarry & Flags.Adjust) | carry | (overflow << 11);
    }

    private static int CountMask<TWidth>()
        where TWidth : struct, IWidth => TWidth.Bits == 64 ? 63 : 31;

    private static bool Shift<TOperation, TWidth>(ProcessorContext* c, Instruction* i, int count)
        where TOperation : struct, IShiftOperation
        where TWidth : struct, IWidth
    {
        if (!i->IsMemory)
        {
            ulong a = TWidth.GetRm(c, i);
            TWidth.SetRm(c, i, count == 0 ? a : TOperation.Apply<TWidth>(c, a, count));
            return true;
        }

        ulong offset = GuestAccess.EffectiveAddress(c, i);
        byte* p = GuestAccess.Writable(c, i->Segment, offset, TWidth.Bytes, out ulong linear, out bool faulted);
        if (p != null)
        {
            if (count != 0)
            {
                TWidth.Write(p, TOperation.Apply<TWidth>(c, TWidth.Read(p), count));
            }

            return true;
        }

        if (faulted)
        {
            return false;
        }

        ulong value = Modify.SlowRead<TWidth>(c, i->Segment, linear);
        return count == 0 || Modify.SlowWrite<TWidth>(c, i->Segment, linear, TOperation.Apply<TWidth>(c, value, count));
    }

    private static ulong DoubleShift<TWidth>(ProcessorContext* c, ulong a, ulong b, int count, bool right)
        where TWidth : struct, IWidth
    {
        ulong r;
        uint carry;
        if (TWidth.Bits == 16)
        {
            // A count above 16 is undefined; the operands repeat, as on current processors.
            ulong wide = right ? a | (b << 16) | (a << 32) : (a << 32) | (b << 16) | a;
            if (right)
            {
                r = (wide >> count) & 0xffff;
                carry = (uint)(wide >> (count - 1)) & 1;
            }
            else
            {
                r = (wide >> (32 - count)) & 0xffff;
                carry = (uint)(wide >> (48 - count)) & 1;
            }
        }
        else if (right)
        {
            r = ((a >> count) | (b << (TWidth.Bits - count))) & TWidth.Mask;
            carry = (uint)(a >> (count - 1)) & 1;
        }
        else
        {
            r = ((a << count) | (b >> (TWidth.Bits - count))) & TWidth.Mask;
            carry = (uint)(a >> (TWidth.Bits - count)) & 1;
        }

        Alu.Logic<TWidth>(c, r);
        uint overflow = (uint)(((a ^ r) >> (TWidth.Bits - 1)) & 1);
        c->FlagCarry = carry | (overflow << 11);
        return r;
    }
}
