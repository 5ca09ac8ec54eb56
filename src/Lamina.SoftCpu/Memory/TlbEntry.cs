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

    /// <summary>Entries of the first level for reads, and as many for writes behind them; a power of two.</summary>
    public const int Count = 512;

    /// <summary>Sets of the second level, for reads and as many for writes behind them; a power of two.</summary>
    public const int SecondSets = 1024;

    /// <summary>Entries in one of those sets, the one filled last first.</summary>
    public const int Ways = 2;

    /// <summary>Where the second level begins in an array.</summary>
    public const int Second = 2 * Count;

    /// <summary>Entries of one array, both levels.</summary>
    public const int Stride = Second + (2 * SecondSets * Ways);

    /// <summary>Arrays of a <see cref="Tlb"/>: three, and one of user accesses for each space.</summary>
    public const int ArrayCount = 3 + SpaceTable.Count;

    /// <summary>All entries.</summary>
    public const int Total = Stride * ArrayCount;

    /// <summary>An entry that never matches.</summary>
    public static TlbEntry Invalid => new() { Tag = NoPage };

    /// <summary>The first-level entry for reads of a linear address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForRead(TlbEntry* array, ulong linear) => array + ((linear >> 12) & (Count - 1));

    /// <summary>The one for writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* ForWrite(TlbEntry* array, ulong linear) => array + Count + ((linear >> 12) & (Count - 1));

    /// <summary>The second-level set of a linear address, whose index mixes more of its bits, so that pages which displace each other in the first level do not here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TlbEntry* SecondSet(TlbEntry* array, ulong linear, bool write)
    {
        return array + Second + (write ? SecondSets * Ways : 0) + (Ways * (int)(((linear ^ (linear >> 9)) >> 12) & (SecondSets - 1)));
    }
}
