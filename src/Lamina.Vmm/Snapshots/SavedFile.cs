namespace Lamina.Vmm.Snapshots;

/// <summary>A file of a snapshot.</summary>
public sealed record SavedFile
{
    /// <summary>Its name in the snapshot's directory.</summary>
    public string Name { get; set; } = "";

    /// <summary>Its length in bytes.</summary>
    public ulong Length { get; set; }

    /// <summary>SHA-256 of its content, in hexadecimal digits; of the memory file only what is not zero is digested, as <c>docs/snapshots.md</c> says.</summary>
    public string Sha256 { get; set; } = "";
}
