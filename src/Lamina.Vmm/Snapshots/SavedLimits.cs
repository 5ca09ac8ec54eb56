using Lamina.Machine.Limits;

namespace Lamina.Vmm.Snapshots;

/// <summary>Limits of a disk or a network card in a snapshot's manifest.</summary>
public sealed record SavedLimits
{
    /// <summary>Requests or frames a second; 0 for any number.</summary>
    public ulong OperationsPerSecond { get; set; }

    /// <summary>Bytes a second; 0 for any number.</summary>
    public ulong BytesPerSecond { get; set; }

    /// <summary>For how long unused allowance is saved up, in milliseconds.</summary>
    public uint BurstMilliseconds { get; set; }

    /// <summary>The limits of a manifest; none if they are null.</summary>
    internal static IoLimits Restore(SavedLimits? saved) => saved == null ? IoLimits.None : new IoLimits
    {
        OperationsPerSecond = saved.OperationsPerSecond,
        BytesPerSecond = saved.BytesPerSecond,
        BurstMilliseconds = saved.BurstMilliseconds,
    };

    /// <summary>Limits for a manifest; null if there are none.</summary>
    internal static SavedLimits? Save(IoLimits limits) => limits is { OperationsPerSecond: 0, BytesPerSecond: 0 } ? null : new SavedLimits
    {
        OperationsPerSecond = limits.OperationsPerSecond,
        BytesPerSecond = limits.BytesPerSecond,
        BurstMilliseconds = limits.BurstMilliseconds,
    };
}
