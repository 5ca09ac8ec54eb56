using Lamina.Machine.Limits;

namespace Lamina.Vmm;

/// <summary>What has passed a disk or a network card since the start.</summary>
/// <param name="Device">The device's name, such as "disk1".</param>
/// <param name="Traffic">How much.</param>
public sealed record DeviceTraffic(string Device, TrafficCounters Traffic);
