using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Execute;

// One type a condition, so that its test is compiled into each handler.

internal unsafe struct IfO : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Conditions.Overflow(c);
}

internal unsafe struct IfNo : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Conditions.Overflow(c);
}

internal unsafe struct IfB : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Conditions.Carry(c);
}

internal unsafe struct IfAe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Conditions.Carry(c);
}

internal unsafe struct IfE : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => c->FlagZero == 0;
}

internal unsafe struct IfNe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => c->FlagZero != 0;
}

internal unsafe struct IfBe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Conditions.Carry(c) || c->FlagZero == 0;
}

internal unsafe struct IfA : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Conditions.Carry(c) && c->FlagZero != 0;
}

internal unsafe struct IfS : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => (long)c->FlagSign < 0;
}

internal unsafe struct IfNs : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => (long)c->FlagSign >= 0;
}

internal unsafe struct IfP : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Flags.GetParity(c);
}

internal unsafe struct IfNp : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Flags.GetParity(c);
}

internal unsafe struct IfL : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Conditions.Less(c);
}

internal unsafe struct IfGe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Conditions.Less(c);
}

internal unsafe struct IfLe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => Conditions.Less(c) || c->FlagZero == 0;
}

internal unsafe struct IfG : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Test(ProcessorContext* c) => !Conditions.Less(c) && c->FlagZero != 0;
}
