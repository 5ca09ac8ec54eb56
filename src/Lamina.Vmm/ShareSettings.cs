namespace Lamina.Vmm;

/// <summary>A folder of the host that the guest can mount.</summary>
public sealed record ShareSettings
{
    /// <summary>The folder.</summary>
    public required string Path { get; init; }

    /// <summary>The tag by which the guest mounts it: <c>mount -t virtiofs TAG /mnt</c>. At most 36 bytes.</summary>
    public required string Tag { get; init; }

    /// <summary>Whether the guest may not change anything in it.</summary>
    public bool IsReadOnly { get; init; }
}
