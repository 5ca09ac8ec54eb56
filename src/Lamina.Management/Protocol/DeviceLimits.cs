namespace Lamina.Management.Protocol;

/// <summary>How much of the host's input and output a disk or a network card may have; of a card, in each direction.</summary>
public sealed record DeviceLimits
{
    /// <summary>Requests or frames a second; null for any number.</summary>
    public ulong? OperationsPerSecond { get; set; }

    /// <summary>Bytes a second; null for any number.</summary>
    public ulong? BytesPerSecond { get; set; }

    /// <summary>For how long unused allowance is saved up, in milliseconds.</summary>
    public uint BurstMilliseconds { get; set; } = 100;
}
