namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Snapshot"/>.</summary>
public sealed record SnapshotArguments
{
    /// <summary>Absolute path of the directory to be made.</summary>
    public string? Directory { get; set; }

    /// <summary>Whether the client makes the files, and passes them: the directory is then its own affair.</summary>
    public bool PassesFiles { get; set; }
}
