namespace Lamina.Virtio.Queue;

/// <summary>Where the three parts of a queue are in guest memory.</summary>
/// <param name="Descriptors">Descriptor area.</param>
/// <param name="Driver">Driver area: the available ring, or the driver's event suppression.</param>
/// <param name="Device">Device area: the used ring, or the device's event suppression.</param>
internal readonly record struct QueueAddresses(ulong Descriptors, ulong Driver, ulong Device);
