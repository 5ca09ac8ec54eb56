namespace Lamina.Management.Protocol;

/// <summary>What went through a disk or a network card: requests or frames that were accepted, and their bytes.</summary>
public sealed record TrafficStatistics
{
    /// <summary>The device's name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Reads, or frames to the guest.</summary>
    public ulong InCount { get; set; }

    /// <summary>Their bytes.</summary>
    public ulong InBytes { get; set; }

    /// <summary>Writes, or frames from the guest.</summary>
    public ulong OutCount { get; set; }

    /// <summary>Their bytes.</summary>
    public ulong OutBytes { get; set; }
}
