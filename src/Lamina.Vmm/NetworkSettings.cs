using Lamina.Machine.Limits;
using Lamina.Networking;
using Lamina.Virtio.Network;

namespace Lamina.Vmm;

/// <summary>A network card of a machine.</summary>
public sealed record NetworkSettings
{
    /// <summary>Most pairs of queues of a card.</summary>
    public const int MaximumQueuePairs = NetworkDevice.MaximumQueuePairs;

    /// <summary>What it is connected to.</summary>
    public NetworkKind Kind { get; init; } = NetworkKind.User;

    /// <summary>The tap interface or the bridge; null for <see cref="NetworkKind.User"/>.</summary>
    public string? Name { get; init; }

    /// <summary>
    /// Pairs of queues, 1 to <see cref="MaximumQueuePairs"/>: a guest of several processors can use them at once. A card on user networking has one. A tap interface must have been made for several ("multi_queue").
    /// </summary>
    public int QueuePairs { get; init; } = 1;

    /// <summary>What it is connected to, if somebody has opened that: a tap interface, once for each pair of queues, or a stream to passt; empty for opening it here. Used once.</summary>
    public IReadOnlyList<Interop.Files.PassedFile> Wires { get; init; } = [];

    /// <summary>The card's hardware address, 6 bytes; null for one made of the machine's name and the card's position.</summary>
    public IReadOnlyList<byte>? HardwareAddress { get; init; }

    /// <summary>Ports of the host that lead to the guest, for <see cref="NetworkKind.User"/>.</summary>
    public IReadOnlyList<PublishedPort> PublishedPorts { get; init; } = [];

    /// <summary>The number in its device's name (net0, net1 and so on), of which and the machine's name its hardware address is made; null for the first that is free.</summary>
    public int? Number { get; init; }

    /// <summary>Its slot on the PCI bus, 1 to 31; null for the first that is free.</summary>
    public int? Slot { get; init; }

    /// <summary>What may pass in each direction; <see cref="VirtualMachine.SetLimits"/> changes that.</summary>
    public IoLimits Limits { get; init; } = IoLimits.None;
}
