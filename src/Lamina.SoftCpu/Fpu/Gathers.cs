using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Fpu;

/// <summary>VGATHER and VPGATHER: the elements that were loaded before a fault are kept, and their mask bits cleared, so that the restart goes on.</summary>
internal static unsafe class Gathers
{
    /// <summary>The handler of a gather, or null if its registers are not distinct or it has no VSIB byte.</summary>
    public static delegate*<ProcessorContext*, Instruction*, bool> Find(Instruction* i)
    {
        if (i->AddressSize == 2 || (i->ModRm & 7) != 4 || i->Reg == i->Index || i->Reg == i->Vvvv || i->Index == i->Vvvv)
        {
            return null;
        }

        bool wideIndex = (i->Opcode & 1) != 0;
        return (i->Rex & 8) != 0
            ? wideIndex ? &Gather<ulong, long> : &Gather<ulong, int>
            : wideIndex ? &Gather<uint, long> : &Gather<uint, int>;
    }

    private static bool Gather<TElement, TIndex>(ProcessorContext* c, Instruction* i)
        where TElement : unmanaged
        where TIndex : unmanaged
    {
        if ((c->Gates & UnitGates.Avx) == 0)
        {
            return UnitFaults.Unavailable(c, UnitGates.Avx);
        }

        // SAFETY: registers are 32 bytes of the context; the larger of element and index fills the vector length.
        int length = (i->Flags & InstructionFlags.VexL) != 0 ? 32 : 16;
        int count = length / Math.Max(sizeof(TElement), sizeof(TIndex));
        byte* result = c->Vectors + (i->Reg * 32);
        byte* mask = c->Vectors + (i->Vvvv * 32);
        byte* indices = c->Vectors + (i->Index * 32);
        ulong start = c->Registers[i->Base] + (ulong)(long)i->Displacement;
        for (int n = 0; n < count; n++)
        {
            byte* maskElement = mask + (n * sizeof(TElement));
            if ((maskElement[sizeof(TElement) - 1] & 0x80) != 0)
            {
                long index = typeof(TIndex) == typeof(int) ? ((int*)indices)[n] : ((long*)indices)[n];
                ulong offset = start + (ulong)(index << i->Scale);
                if (!GuestAccess.Load(c, i->Segment, i->AddressSize == 8 ? offset : (uint)offset, out TElement value))
                {
                    return false;
                }

                ((TElement*)result)[n] = value;
            }

            Unsafe.InitBlock(maskElement, 0, (uint)sizeof(TElement));
        }

        // Results and masks that are shorter than a register end in zeros.
        int used = count * sizeof(TElement);
        Unsafe.InitBlock(result + used, 0, (uint)(32 - used));
        Unsafe.InitBlock(mask + used, 0, (uint)(32 - used));
        return true;
    }
}
