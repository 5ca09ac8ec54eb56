namespace Lamina.Virtio.Queue;

/// <summary>Flags of a descriptor (virtio 1.2, sections 2.7.5 and 2.8.13).</summary>
[Flags]
internal enum DescriptorFlags : ushort
{
    None = 0,
    Next = 1 << 0,
    Write = 1 << 1,
    Indirect = 1 << 2,

    /// <summary>Packed rings only.</summary>
    Available = 1 << 7,

    /// <summary>Packed rings only.</summary>
    Used = 1 << 15,
}
