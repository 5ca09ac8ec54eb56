namespace Lamina.Management.Protocol;

/// <summary>A disk or a network card of a machine.</summary>
public sealed record DeviceResult
{
    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Its slot on the PCI bus; null if it is memory-mapped.</summary>
    public int? Slot { get; set; }

    /// <summary>What is behind it: the path of an image, or what a network card is connected to.</summary>
    public string Source { get; set; } = "";

    /// <summary>Its limits; null if it has none.</summary>
    public DeviceLimits? Limits { get; set; }
}
