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

    /// <summary>Evaluates a condition by number.</summary>
    public static bool Test(ProcessorContext* c, int condition)
    {
        bool value = (condition >> 1) switch
        {
            0 => Overflow(c),
            1 => Carry(c),
            2 => c->FlagZero == 0,
            3 => Carry(c) || c->FlagZero == 0,
            4 => (long)c->FlagSign < 0,
            5 => Flags.GetParity(c),
            6 => Less(c),
            _ => Less(c) || c->FlagZero == 0,
        };
        return value != ((condition & 1) != 0);
    }
}
