namespace Lamina.Management.Protocol;

/// <summary>Returns from guest code under KVM, by what they were for.</summary>
public sealed record ExitStatistics
{
    /// <summary>Ports.</summary>
    public ulong Port { get; set; }

    /// <summary>Memory-mapped registers.</summary>
    public ulong Mmio { get; set; }

    /// <summary>Model-specific registers.</summary>
    public ulong Msr { get; set; }

    /// <summary>HLT.</summary>
    public ulong Halt { get; set; }

    /// <summary>All else: interrupt windows, signals, instructions that KVM refused, and so on.</summary>
    public ulong Other { get; set; }
}
