namespace Lamina.Vmm.Snapshots;

/// <summary>How a snapshot is taken.</summary>
public sealed record SnapshotOptions
{
    /// <summary>What the caller wants to find in the manifest.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>The snapshot from which this one has the pages that were not written since; null for one that stands alone. It is the machine's last one, or the one that it began in.</summary>
    public BaseSnapshot? Base { get; init; }

    /// <summary>Whether memory is compressed. It takes less room, and whoever restores it reads it all first.</summary>
    public bool IsCompressed { get; init; }

    /// <summary>Whether the guest is asked to suspend itself before, so that its programs are frozen and its devices at rest when it is saved; it goes on afterwards, and so does the saved one. Guests of Xen alone know how.</summary>
    public bool AsksGuest { get; init; }
}
