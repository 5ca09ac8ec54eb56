using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>General registers as destinations.</summary>
internal static unsafe class GeneralRegister
{
    /// <summary>Writes 2, 4 or 8 bytes: 2 leave the rest as it is, 4 clear the upper half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(ProcessorContext* c, int register, ulong value, int size)
    {
        ref ulong r = ref c->Registers[register];
        r = size == 8 ? value : size == 4 ? (uint)value : (r & ~0xffffUL) | (ushort)value;
    }
}
