using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Memory;

/// <summary>
/// One first-level TLB entry. Reads and writes have arrays of their own, so that copying between addresses with the same index evicts nothing.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TlbEntry
{
    /// <summary>
    /// The page's linear address OR-ed with the generation in bits 11:0. A write entry is valid only if the page may be written without telling anyone:
    /// writable, dirty, and no code was made from it.
    /// </summary>
    public ulong Tag;

    /// <summary>Host address = linear address + addend.</summary>
    public nint Addend;

    /// <summary>Entries for reads, and as many for writes behind them; a power of two.</summary>
    public const int Count = 512;

    /// <summary>Entries of one privilege.</summary>
    public const int Stride = 2 * Count;

    /// <summary>Privileges in <see cref="ProcessorContext.TlbArrays"/>.</summary>
    public const int ArrayCount = 4;

    /// <summary>All entries.</summary>
    public const int Total = Stride * ArrayCount;

    /// <summary>The entry for reads of a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForRead(TlbEntry* array, ulong linear) => array + ((linear >> 12) & (Count - 1));

    /// <summary>The entry for writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForWrite(TlbEntry* array, ulong linear) => array + Count + ((linear >> 12) & (Count - 1));
}
