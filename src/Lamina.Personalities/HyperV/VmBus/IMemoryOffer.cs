namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A device whose offer says how much memory it uses beside its channel.</summary>
internal interface IMemoryOffer
{
    /// <summary>How many MiB.</summary>
    int Megabytes { get; }
}
