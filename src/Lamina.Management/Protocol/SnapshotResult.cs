namespace Lamina.Management.Protocol;

/// <summary>What <see cref="ControlVerbs.Snapshot"/> gives.</summary>
public sealed record SnapshotResult
{
    /// <summary>How long the machine stood still, in seconds.</summary>
    public double PauseSeconds { get; set; }
}
