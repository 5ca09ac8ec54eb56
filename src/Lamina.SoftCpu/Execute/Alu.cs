using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Execute;

/// <summary>A two-operand arithmetic or logical operation that sets the status flags.</summary>
internal unsafe interface IAluOperation
{
    /// <summary>Whether the destination is written (not for CMP and TEST).</summary>
    static abstract bool Writes { get; }

    /// <summary>Computes and sets the flags.</summary>
    static abstract ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth;
}

/// <summary>Flag computation shared by the arithmetic handlers (Intel SDM volume 1, section 3.4.3.1).</summary>
internal static unsafe class Alu
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Add<TWidth>(ProcessorContext* c, ulong a, ulong b, uint carry)
        where TWidth : struct, IWidth
    {
        ulong r = (a + b + carry) & TWidth.Mask;
        ulong carries = (a & b) | ((a | b) & ~r);
        Set<TWidth>(c, r, carries, (a ^ r) & (b ^ r), a ^ b ^ r);
        return r;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Subtract<TWidth>(ProcessorContext* c, ulong a, ulong b, uint borrow)
        where TWidth : struct, IWidth
    {
        ulong r = (a - b - borrow) & TWidth.Mask;
        ulong borrows = (~a & b) | ((~a | b) & r);
        Set<TWidth>(c, r, borrows, (a ^ b) & (a ^ r), a ^ b ^ r);
        return r;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Logic<TWidth>(ProcessorContext* c, ulong r)
        where TWidth : struct, IWidth
    {
        c->FlagZero = r;
        c->FlagSign = TWidth.SignExtend(r);
        c->FlagCarry = 0;
        return r;
    }

    /// <summary>Sets ZF, SF and PF only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetResult<TWidth>(ProcessorContext* c, ulong r)
        where TWidth : struct, IWidth
    {
        c->FlagZero = r;
        c->FlagSign = TWidth.SignExtend(r);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Set<TWidth>(ProcessorContext* c, ulong r, ulong carries, ulong overflow, ulong adjust)
        where TWidth : struct, IWidth
    {
        c->FlagZero = r;
        c->FlagSign = TWidth.SignExtend(r);
        int top = TWidth.Bits - 1;
        c->FlagCarry = (uint)((carries >> top) & 1) | ((uint)((overflow >> top) & 1) << 11) | ((uint)adjust & Flags.Adjust);
    }
}

internal unsafe struct Add : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Add<TWidth>(c, a, b, 0);
}

internal unsafe struct Or : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Logic<TWidth>(c, a | b);
}

internal unsafe struct Adc : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Add<TWidth>(c, a, b, c->FlagCarry & 1);
}

internal unsafe struct Sbb : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Subtract<TWidth>(c, a, b, c->FlagCarry & 1);
}

internal unsafe struct And : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Logic<TWidth>(c, a & b);
}

internal unsafe struct Sub : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Subtract<TWidth>(c, a, b, 0);
}

internal unsafe struct Xor : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Logic<TWidth>(c, a ^ b);
}

internal unsafe struct Cmp : IAluOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Subtract<TWidth>(c, a, b, 0);
}

internal unsafe struct Test : IAluOperation
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Logic<TWidth>(c, a & b);
}

/// <summary>INC: CF stays. The second operand is ignored.</summary>
internal unsafe struct Inc : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth
    {
        uint carry = c->FlagCarry & 1;
        ulong r = Alu.Add<TWidth>(c, a, 1, 0);
        c->FlagCarry = (c->FlagCarry & ~1u) | carry;
        return r;
    }
}

/// <summary>DEC: CF stays.</summary>
internal unsafe struct Dec : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth
    {
        uint carry = c->FlagCarry & 1;
        ulong r = Alu.Subtract<TWidth>(c, a, 1, 0);
        c->FlagCarry = (c->FlagCarry & ~1u) | carry;
        return r;
    }
}

internal unsafe struct Neg : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => Alu.Subtract<TWidth>(c, 0, a, 0);
}

/// <summary>NOT sets no flags.</summary>
internal unsafe struct Not : IAluOperation
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(ProcessorContext* c, ulong a, ulong b)
        where TWidth : struct, IWidth => ~a & TWidth.Mask;
}
