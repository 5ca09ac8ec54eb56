namespace Lamina.Virtio;

/// <summary>Feature bits that belong to every device (virtio 1.2, section 6).</summary>
internal static class TransportFeatures
{
    /// <summary>VIRTIO_F_INDIRECT_DESC.</summary>
    public const ulong IndirectDescriptors = 1UL << 28;

    /// <summary>VIRTIO_F_EVENT_IDX.</summary>
    public const ulong EventIndex = 1UL << 29;

    /// <summary>VIRTIO_F_VERSION_1.</summary>
    public const ulong Version1 = 1UL << 32;

    /// <summary>VIRTIO_F_RING_PACKED.</summary>
    public const ulong PackedRing = 1UL << 34;

    /// <summary>What every device here offers.</summary>
    public const ulong All = IndirectDescriptors | EventIndex | Version1 | PackedRing;
}
