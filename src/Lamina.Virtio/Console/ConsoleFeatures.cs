namespace Lamina.Virtio.Console;

/// <summary>Feature bits (virtio 1.2, section 5.3.3).</summary>
internal static class ConsoleFeatures
{
    public const ulong Size = 1UL << 0;
    public const ulong MultiplePorts = 1UL << 1;
    public const ulong EmergencyWrite = 1UL << 2;
}
