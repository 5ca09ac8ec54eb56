namespace Lamina.Machine.Limits;

/// <summary>What has gone through a disk or a network card, seen from the guest.</summary>
/// <param name="InCount">Reads, or frames to the guest.</param>
/// <param name="InBytes">Their bytes.</param>
/// <param name="OutCount">Writes, or frames from the guest.</param>
/// <param name="OutBytes">Their bytes.</param>
public readonly record struct TrafficCounters(ulong InCount, ulong InBytes, ulong OutCount, ulong OutBytes)
{
    /// <summary>With one more inward.</summary>
    public TrafficCounters CountIn(ulong bytes) => this with { InCount = InCount + 1, InBytes = InBytes + bytes };

    /// <summary>With one more outward.</summary>
    public TrafficCounters CountOut(ulong bytes) => this with { OutCount = OutCount + 1, OutBytes = OutBytes + bytes };
}
