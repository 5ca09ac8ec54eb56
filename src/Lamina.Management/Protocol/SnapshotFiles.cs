namespace Lamina.Management.Protocol;

/// <summary>The names of the files that a client makes for a snapshot, and whose descriptors the machine waits for.</summary>
public sealed record SnapshotFiles
{
    /// <summary>They.</summary>
    public IReadOnlyList<string> Names { get; set; } = [];
}
