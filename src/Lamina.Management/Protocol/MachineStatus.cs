namespace Lamina.Management.Protocol;

/// <summary>What a machine is and how it does.</summary>
public sealed record MachineStatus
{
    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Its process.</summary>
    public int Pid { get; set; }

    /// <summary>One of <see cref="MachineState"/>.</summary>
    public string State { get; set; } = "";

    /// <summary>What it was started from: an image's name or a kernel's path.</summary>
    public string Source { get; set; } = "";

    /// <summary>Who executes it now.</summary>
    public string Accelerator { get; set; } = "";

    /// <summary>Its CPU model.</summary>
    public string CpuModel { get; set; } = "";

    /// <summary>Virtual processors.</summary>
    public int Processors { get; set; }

    /// <summary>RAM in bytes.</summary>
    public ulong MemoryBytes { get; set; }

    /// <summary>When its process started it.</summary>
    public DateTimeOffset StartedAt { get; set; }

    /// <summary>Time that has passed for the guest, in seconds: pauses do not count.</summary>
    public double MachineSeconds { get; set; }

    /// <summary>Whether it has no terminal of its own.</summary>
    public bool Detached { get; set; }

    /// <summary>Consoles attached through the control socket.</summary>
    public int AttachedConsoles { get; set; }

    /// <summary>Paths of its disk images.</summary>
    public IReadOnlyList<string> Disks { get; set; } = [];

    /// <summary>What confines its process: "off", or a list with commas.</summary>
    public string Sandbox { get; set; } = "";

    /// <summary>What of that the host does not give, and why.</summary>
    public IReadOnlyList<string> SandboxMissing { get; set; } = [];

    /// <summary>Processor features of the model that its accelerators withhold.</summary>
    public IReadOnlyList<string> WithheldFeatures { get; set; } = [];

    /// <summary>What the guest wrote to port 0x80 last, by which firmware and tests say how far they are.</summary>
    public int PostCode { get; set; }

    /// <summary>What its guest says of itself; null if it has no services for that.</summary>
    public GuestStatus? Guest { get; set; }
}
