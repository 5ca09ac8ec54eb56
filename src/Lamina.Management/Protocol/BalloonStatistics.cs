namespace Lamina.Management.Protocol;

/// <summary>A memory balloon, in bytes.</summary>
public sealed record BalloonStatistics
{
    /// <summary>What the guest is to give back.</summary>
    public ulong TargetBytes { get; set; }

    /// <summary>What it has given back.</summary>
    public ulong Bytes { get; set; }

    /// <summary>Free memory that it has reported since the start.</summary>
    public ulong ReportedBytes { get; set; }

    /// <summary>Why it does not get memory that it is to have beside that of the start; null if it does.</summary>
    public string? Obstacle { get; set; }
}
