namespace Lamina.Machine.Limits;

/// <summary>How much of the host's input and output one device of a guest may have.</summary>
public sealed record IoLimits
{
    /// <summary>No limits.</summary>
    public static IoLimits None { get; } = new();

    /// <summary>Operations (requests, packets) a second; 0 for any number.</summary>
    public ulong OperationsPerSecond { get; init; }

    /// <summary>Bytes a second; 0 for any number.</summary>
    public ulong BytesPerSecond { get; init; }

    /// <summary>For how many milliseconds a device that is idle saves up what it could have had: so much may come at once afterwards. At least 1.</summary>
    public uint BurstMilliseconds { get; init; } = 100;
}
