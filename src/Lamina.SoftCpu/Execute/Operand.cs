using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>The r/m operand, register or memory.</summary>
internal static unsafe class Operand
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool LoadRm<TWidth>(ProcessorContext* c, Instruction* i, out ulong value)
        where TWidth : struct, IWidth
    {
        if (!i->IsMemory)
        {
            value = TWidth.GetRm(c, i);
            return true;
        }

        return TWidth.Load(c, i->Segment, GuestAccess.EffectiveAddress(c, i), out value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool StoreRm<TWidth>(ProcessorContext* c, Instruction* i, ulong value)
        where TWidth : struct, IWidth
    {
        if (!i->IsMemory)
        {
            TWidth.SetRm(c, i, value);
            return true;
        }

        return TWidth.Store(c, i->Segment, GuestAccess.EffectiveAddress(c, i), value);
    }
}
