namespace Lamina.Personalities.Xen.Block;

/// <summary>Operations of the block protocol (xen/include/public/io/blkif.h).</summary>
internal enum BlockOperationCode : byte
{
    Read = 0,
    Write = 1,
    FlushDiskCache = 3,
    Discard = 5,
    Indirect = 6,
}
