namespace Lamina.Vmm.Snapshots;

/// <summary>A shared folder in a snapshot's manifest.</summary>
public sealed record SavedShare
{
    /// <summary>The folder of the host.</summary>
    public string Path { get; set; } = "";

    /// <summary>The tag by which the guest has mounted it.</summary>
    public string Tag { get; set; } = "";

    /// <summary>Whether the guest may not change anything in it.</summary>
    public bool IsReadOnly { get; set; }
}
