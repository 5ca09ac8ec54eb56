namespace Lamina.Vmm.Snapshots;

/// <summary>Pages of RAM, one after the other.</summary>
/// <param name="First">Number of the first one: its offset in the memory file over the page size.</param>
/// <param name="Count">How many; at least one.</param>
internal readonly record struct PageRun(ulong First, ulong Count)
{
    /// <summary>Bytes in a page.</summary>
    internal const int PageSize = 4096;

    /// <summary>Offset of the first byte.</summary>
    internal ulong Offset => First * PageSize;

    /// <summary>Bytes.</summary>
    internal ulong Length => Count * PageSize;
}
