namespace Lamina.Machine.Limits;

/// <summary>A disk's or a network card's way to the host, with limits that may change at any time. Any thread.</summary>
public interface ILimited
{
    /// <summary>The limits as they are now.</summary>
    IoLimits Limits { get; }

    /// <summary>What has passed since the start.</summary>
    TrafficCounters Traffic { get; }

    /// <summary>Sets other limits, for what waits already, too.</summary>
    void SetLimits(IoLimits limits);
}
