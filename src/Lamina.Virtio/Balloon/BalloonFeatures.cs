namespace Lamina.Virtio.Balloon;

/// <summary>Feature bits (virtio 1.2, section 5.5.3).</summary>
internal static class BalloonFeatures
{
    public const ulong Statistics = 1UL << 1;
    public const ulong DeflateOnOutOfMemory = 1UL << 2;
    public const ulong PageReporting = 1UL << 5;
}
