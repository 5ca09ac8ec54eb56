namespace Lamina.Virtio.Block;

/// <summary>Feature bits (virtio 1.2, section 5.2.3).</summary>
internal static class BlockFeatures
{
    public const ulong SegmentMaximum = 1UL << 2;
    public const ulong ReadOnly = 1UL << 5;
    public const ulong BlockSize = 1UL << 6;
    public const ulong Flush = 1UL << 9;
    public const ulong Topology = 1UL << 10;
    public const ulong ConfigurableCache = 1UL << 11;
    public const ulong MultipleQueues = 1UL << 12;
    public const ulong Discard = 1UL << 13;
    public const ulong WriteZeroes = 1UL << 14;
}
