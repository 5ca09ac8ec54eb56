namespace Lamina.Vmm.Snapshots;

/// <summary>A device or processor in a snapshot's manifest.</summary>
public sealed record SavedDevice
{
    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>The version of its state.</summary>
    public uint Version { get; set; }
}
