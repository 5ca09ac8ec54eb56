namespace Lamina.Storage;

/// <summary>A run of a disk that is of one kind.</summary>
/// <param name="Length">Its length in bytes.</param>
/// <param name="IsZero">It reads as zeroes.</param>
/// <param name="IsAllocated">This image says what is in it, rather than its backing image.</param>
/// <param name="FileOffset">Where in its image's file it is, or -1 if it has no place of its own there (or a compressed one).</param>
/// <param name="Depth">Which image of the chain says what is in it: 0 for the first.</param>
public readonly record struct DiskExtent(ulong Length, bool IsZero, bool IsAllocated, long FileOffset, int Depth);
