namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Snapshot"/>.</summary>
public sealed record SnapshotArguments
{
    /// <summary>Absolute path of the directory to be made.</summary>
    public string? Directory { get; set; }

    /// <summary>Whether the client makes the files, and passes them: the directory is then its own affair.</summary>
    public bool PassesFiles { get; set; }

    /// <summary>The snapshot that it is to rest on, as its manifest is to name it: its path from the directory to be made; null for one that stands alone.</summary>
    public string? Base { get; set; }

    /// <summary>SHA-256 of that snapshot's manifest, in hexadecimal digits.</summary>
    public string? BaseSha256 { get; set; }

    /// <summary>Whether memory is compressed.</summary>
    public bool Compress { get; set; }

    /// <summary>Whether the guest is asked to suspend itself before.</summary>
    public bool AskGuest { get; set; }
}
