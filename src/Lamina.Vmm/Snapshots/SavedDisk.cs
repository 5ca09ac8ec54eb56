namespace Lamina.Vmm.Snapshots;

/// <summary>A disk in a snapshot's manifest.</summary>
public sealed record SavedDisk
{
    /// <summary>The image: a file of the snapshot if <see cref="IsCopied"/>, else one of the host.</summary>
    public string Path { get; set; } = "";

    /// <summary>Whether the image was copied into the snapshot.</summary>
    public bool IsCopied { get; set; }

    /// <summary>Its format: "raw" or "qcow2".</summary>
    public string Format { get; set; } = "";

    /// <summary>Whether the guest may not write to it.</summary>
    public bool IsReadOnly { get; set; }

    /// <summary>Bytes of the disk.</summary>
    public ulong Length { get; set; }

    /// <summary>The serial number that the guest sees; null for one made of its position.</summary>
    public string? Serial { get; set; }

    /// <summary>The number in the disk's name.</summary>
    public int Number { get; set; }

    /// <summary>Its slot on the PCI bus; null if it is memory-mapped.</summary>
    public int? Slot { get; set; }

    /// <summary>Its limits; null if it has none.</summary>
    public SavedLimits? Limits { get; set; }

    /// <summary>Whether the guest waits when the host has no space for its writes, rather than being told of an error.</summary>
    public bool WaitsForSpace { get; set; }

    /// <summary>Whether it offers persistent grants to Xen's guests.</summary>
    public bool HasPersistentGrants { get; set; }
}
