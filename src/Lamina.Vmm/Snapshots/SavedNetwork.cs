namespace Lamina.Vmm.Snapshots;

/// <summary>A network card in a snapshot's manifest.</summary>
public sealed record SavedNetwork
{
    /// <summary>What it was connected to: "user", "tap" or "bridge".</summary>
    public string Kind { get; set; } = "";

    /// <summary>The interface or bridge.</summary>
    public string? Name { get; set; }

    /// <summary>Its hardware address, which the guest's driver has read.</summary>
    public string HardwareAddress { get; set; } = "";

    /// <summary>The number in the card's name.</summary>
    public int Number { get; set; }

    /// <summary>Its pairs of queues; null in manifests of earlier versions, whose cards had one.</summary>
    public int? QueuePairs { get; set; }

    /// <summary>Its slot on the PCI bus; null if it is memory-mapped.</summary>
    public int? Slot { get; set; }

    /// <summary>Its limits in each direction; null if it has none.</summary>
    public SavedLimits? Limits { get; set; }

    /// <summary>Ports of the host that led to the guest, as [ADDRESS:]HOST:GUEST[/udp].</summary>
    public string[] PublishedPorts { get; set; } = [];
}
