using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Where execution goes on.</summary>
internal static unsafe class InstructionPointer
{
    /// <summary>The address of the next instruction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Next(ProcessorContext* c, Instruction* i)
    {
        ulong next = c->Rip + i->Length;
        return c->CodeSize == 8 ? next : (uint)next;
    }

    /// <summary>The low bits of an address that an operand of 2, 4 or 8 bytes gives.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Truncate(ulong value, int size) => size == 2 ? (ushort)value : size == 4 ? (uint)value : value;

    /// <summary>Whether a code segment can be entered at an offset: #GP(0) if not.</summary>
    public static bool Check(ProcessorContext* c, Descriptor code, ulong offset)
    {
        bool ok = c->LongMode && code.IsLong ? SystemMemory.IsCanonical(offset) : offset <= code.Limit;
        return ok || Fault.GeneralProtection(c);
    }
}
