namespace Lamina.Storage;

/// <summary>A run of a disk that is of one kind.</summary>
/// <param name="Length">Its length in bytes.</param>
/// <param name="IsZero">It reads as zeroes.</param>
/// <param name="IsAllocated">This image says what is in it, rather than its backing image.</param>
/// <param name="FileOffset">Where in the file it is, or -1 if it has no place of its own there (or a compressed one).</param>
public readonly record struct DiskExtent(ulong Length, bool IsZero, bool IsAllocated, long FileOffset);
