namespace Lamina.Virtio.Balloon;

/// <summary>What a guest tells of its memory (virtio 1.2, section 5.5.6.4). Sizes are in bytes, the rest are counts.</summary>
public enum BalloonStatistic
{
    /// <summary>Memory swapped in.</summary>
    SwapIn,

    /// <summary>Memory swapped out.</summary>
    SwapOut,

    /// <summary>Faults that took reading.</summary>
    MajorFaults,

    /// <summary>Other faults.</summary>
    MinorFaults,

    /// <summary>Memory that nobody uses.</summary>
    FreeMemory,

    /// <summary>Memory that there is.</summary>
    TotalMemory,

    /// <summary>Memory that programs could have without swapping.</summary>
    AvailableMemory,

    /// <summary>Caches of files.</summary>
    DiskCaches,

    /// <summary>Huge pages given out.</summary>
    HugePageAllocations,

    /// <summary>Huge pages that could not be given out.</summary>
    HugePageFailures,
}
