using Lamina.Machine.Limits;
using Lamina.Storage;

namespace Lamina.Vmm;

/// <summary>A disk of a machine.</summary>
public sealed record DiskSettings
{
    /// <summary>The image: a file or a block device.</summary>
    public required string Path { get; init; }

    /// <summary>Opens the image's files; null for opening them by their paths. Used once.</summary>
    public IImageFiles? Files { get; init; }

    /// <summary>Its format; null goes by the name.</summary>
    public DiskFormat? Format { get; init; }

    /// <summary>Whether the guest may not write to it.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether requests go past the host's cache, for raw images.</summary>
    public bool IsDirect { get; init; }

    /// <summary>What becomes of a write for which the host has no space.</summary>
    public WriteErrorPolicy OnNoSpace { get; init; }

    /// <summary>Whether it offers persistent grants to Xen's guests: their front end then keeps granting the same pages, and copies all that it reads and writes. Only of a machine that shows Xen.</summary>
    public bool HasPersistentGrants { get; init; }

    /// <summary>The serial number that the guest sees, at most 20 characters of ASCII; null for one made of its position.</summary>
    public string? Serial { get; init; }

    /// <summary>The number in its device's name (disk0, disk1 and so on); null for the first that is free.</summary>
    public int? Number { get; init; }

    /// <summary>Its slot on the PCI bus, 1 to 31; null for the first that is free.</summary>
    public int? Slot { get; init; }

    /// <summary>What the guest may ask of it; <see cref="VirtualMachine.SetLimits"/> changes that.</summary>
    public IoLimits Limits { get; init; } = IoLimits.None;
}
