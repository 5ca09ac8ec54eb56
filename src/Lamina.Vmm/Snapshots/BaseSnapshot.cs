namespace Lamina.Vmm.Snapshots;

/// <summary>The snapshot that an incremental one rests on.</summary>
public sealed record BaseSnapshot
{
    /// <summary>Where it is, from the directory of the snapshot that rests on it.</summary>
    public string Path { get; set; } = "";

    /// <summary>SHA-256 of its manifest, in hexadecimal digits: that of no other snapshot.</summary>
    public string Sha256 { get; set; } = "";

    /// <summary>Describes a snapshot for another that is to rest on it.</summary>
    /// <param name="directory">Where it is.</param>
    /// <param name="target">Where the other is to be.</param>
    /// <exception cref="SnapshotException">There is no snapshot.</exception>
    public static BaseSnapshot Read(string directory, string target)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentException.ThrowIfNullOrEmpty(target);
        byte[] manifest = SnapshotFile.ReadAll(directory, MachineSnapshot.ManifestFile, MachineSnapshot.MaximumManifest);
        return new BaseSnapshot
        {
            Path = System.IO.Path.GetRelativePath(System.IO.Path.GetFullPath(target), System.IO.Path.GetFullPath(directory)),
            Sha256 = Snapshots.Sha256.Hash(manifest),
        };
    }
}
