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
    /// The page's linear address, or <see cref="NoPage"/>. A write entry is valid only if the page may be written without telling anyone:
    /// writable, dirty, and no code was made from it.
    /// </summary>
    public ulong Tag;

    /// <summary>Host address = linear address + addend.</summary>
    public nint Addend;

    /// <summary>A tag that no page has.</summary>
    public const ulong NoPage = ulong.MaxValue;

    /// <summary>Entries for reads, and as many for writes behind them; a power of two.</summary>
    public const int Count = 512;

    /// <summary>Entries of one array.</summary>
    public const int Stride = 2 * Count;

    /// <summary>Arrays of a <see cref="Tlb"/>.</summary>
    public const int ArrayCount = 4;

    /// <summary>All entries.</summary>
    public const int Total = Stride * ArrayCount;

    /// <summary>An entry that never matches.</summary>
    public static TlbEntry Invalid => new() { Tag = NoPage };

    /// <summary>The entry for reads of a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForRead(TlbEntry* array, ulong linear) => array + ((linear >> 12) & (Count - 1));

    /// <summary>The entry for writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForWrite(TlbEntry* array, ulong linear) => array + Count + ((linear >> 12) & (Count - 1));
}
