using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Execute;

/// <summary>The sixteen conditions of Jcc, SETcc and CMOVcc (Intel SDM volume 2, appendix B, table B-10).</summary>
internal unsafe interface ICondition
{
    static abstract bool Test(ProcessorContext* c);
}

/// <summary>Lazy evaluation of single flags.</summary>
internal static unsafe class Conditions
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Overflow(ProcessorContext* c) => (c->FlagCarry & Flags.Overflow) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Carry(ProcessorContext* c) => (c->FlagCarry & 1) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Less(ProcessorContext* c) => ((c->FlagSign >> 63) ^ ((c->FlagCarry >> 11) & 1)) != 0;
}
