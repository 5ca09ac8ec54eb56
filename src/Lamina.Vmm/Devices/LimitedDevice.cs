using Lamina.Machine.Limits;

namespace Lamina.Vmm.Devices;

/// <summary>A disk or a network card, and its way to the host.</summary>
/// <param name="Name">The device's name, such as "disk1".</param>
/// <param name="Way">Its way.</param>
internal readonly record struct LimitedDevice(string Name, ILimited Way);
