namespace Lamina.Management.Protocol;

/// <summary>What a machine has counted since its start.</summary>
public sealed record MachineStatistics
{
    /// <summary>Who executes it now.</summary>
    public string Accelerator { get; set; } = "";

    /// <summary>Instructions of the guest, as far as its accelerators count them; 0 if they do not.</summary>
    public ulong Instructions { get; set; }

    /// <summary>Returns from guest code under KVM.</summary>
    public ulong Exits { get; set; }

    /// <summary>The same, by what they were for; null if there were none.</summary>
    public ExitStatistics? ExitsByKind { get; set; }

    /// <summary>Blocks of guest code that the translator has made host code of.</summary>
    public ulong TranslatedBlocks { get; set; }

    /// <summary>Bytes of guest code in them.</summary>
    public ulong TranslatedBytes { get; set; }

    /// <summary>Instructions that KVM refused and the interpreter executed.</summary>
    public ulong AssistedInstructions { get; set; }

    /// <summary>Time that has passed for the guest, in seconds: pauses do not count.</summary>
    public double MachineSeconds { get; set; }

    /// <summary>Time of host processors that the machine's process has used, in seconds.</summary>
    public double ProcessorSeconds { get; set; }

    /// <summary>Memory of the host that the machine's process has, in bytes: all of it, and less what it shares with others.</summary>
    public MemoryStatistics Memory { get; set; } = new();

    /// <summary>Its disks, in the order in which the guest finds them.</summary>
    public IReadOnlyList<TrafficStatistics> Disks { get; set; } = [];

    /// <summary>Its network cards.</summary>
    public IReadOnlyList<TrafficStatistics> Networks { get; set; } = [];

    /// <summary>Its memory balloon; null if it has none.</summary>
    public BalloonStatistics? Balloon { get; set; }

    /// <summary>Bytes that the console has shown.</summary>
    public long ConsoleBytes { get; set; }
}
