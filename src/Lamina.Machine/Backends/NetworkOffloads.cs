namespace Lamina.Machine.Backends;

/// <summary>Work on packets that one end of a wire can leave to the other.</summary>
[Flags]
public enum NetworkOffloads
{
    /// <summary>Nothing: each packet is whole, and fits a frame.</summary>
    None = 0,

    /// <summary>TCP and UDP checksums.</summary>
    Checksum = 1,

    /// <summary>Segmentation of TCP over IPv4.</summary>
    SegmentTcp4 = 2,

    /// <summary>Segmentation of TCP over IPv6.</summary>
    SegmentTcp6 = 4,

    /// <summary>Segmentation of TCP with explicit congestion notification.</summary>
    SegmentEcn = 8,
}
