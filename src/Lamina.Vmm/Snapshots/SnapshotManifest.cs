namespace Lamina.Vmm.Snapshots;

/// <summary>What a snapshot says of itself: <c>manifest.json</c>. Unknown fields are ignored; <c>docs/snapshots.md</c> describes them.</summary>
public sealed record SnapshotManifest
{
    /// <summary>The format of snapshots that stand alone and are not compressed.</summary>
    public const int PlainFormat = 1;

    /// <summary>The format of the others, of machines that have all their RAM from the start.</summary>
    public const int LayeredFormat = 2;

    /// <summary>The newest format: that of machines that get RAM while they run.</summary>
    public const int CurrentFormat = 3;

    /// <summary>The format.</summary>
    public int Format { get; set; }

    /// <summary>The machine: one of <see cref="MachineVersion.All"/>.</summary>
    public string Machine { get; set; } = "";

    /// <summary>The machine's name when it was taken.</summary>
    public string Name { get; set; } = "";

    /// <summary>When it was taken, in nanoseconds of Unix time.</summary>
    public ulong UnixTime { get; set; }

    /// <summary>Nanoseconds of the machine clock.</summary>
    public ulong MachineTime { get; set; }

    /// <summary>Who executed the machine.</summary>
    public string Accelerator { get; set; } = "";

    /// <summary>RAM in bytes.</summary>
    public ulong MemoryBytes { get; set; }

    /// <summary>How much of it there was at the start, in bytes; null for all.</summary>
    public ulong? StartMemoryBytes { get; set; }

    /// <summary>Virtual processors.</summary>
    public int Processors { get; set; }

    /// <summary>Name of the CPU model.</summary>
    public string CpuModel { get; set; } = "";

    /// <summary>The hypervisor that the guest sees.</summary>
    public string Personality { get; set; } = "";

    /// <summary>How the guest finds its virtio devices.</summary>
    public string Transport { get; set; } = "";

    /// <summary>Frequency of the time-stamp counters in Hz.</summary>
    public ulong TscFrequency { get; set; }

    /// <summary>Width of physical addresses in bits.</summary>
    public int PhysicalAddressBits { get; set; }

    /// <summary>The processors' CPUID answers: leaf, subleaf, EAX, EBX, ECX, EDX each.</summary>
    public uint[][] Cpuid { get; set; } = [];

    /// <summary>Whether there is a virtio console.</summary>
    public bool HasConsole { get; set; }

    /// <summary>Whether there are the devices for test programs.</summary>
    public bool HasTestDevices { get; set; }

    /// <summary>Names of the virtio ports.</summary>
    public string[] Ports { get; set; } = [];

    /// <summary>The memory balloon; null for none.</summary>
    public SavedBalloon? Balloon { get; set; }

    /// <summary>The guest's socket address; null for a machine without sockets.</summary>
    public ulong? SocketAddress { get; set; }

    /// <summary>Where its sockets were on the host.</summary>
    public string? SocketPath { get; set; }

    /// <summary>Its screen's width and height in pixels; null for a machine without one.</summary>
    public int[]? Screen { get; set; }

    /// <summary>Its disks.</summary>
    public SavedDisk[] Disks { get; set; } = [];

    /// <summary>Its network cards.</summary>
    public SavedNetwork[] Networks { get; set; } = [];

    /// <summary>Its shared folders.</summary>
    public SavedShare[] Shares { get; set; } = [];

    /// <summary>Slots of the PCI bus that were empty before the last one taken.</summary>
    public int[] EmptySlots { get; set; } = [];

    /// <summary>The snapshot that has the pages of RAM which this one lacks; null for one that stands alone.</summary>
    public BaseSnapshot? Base { get; set; }

    /// <summary>How memory is compressed: "zlib"; null for not at all.</summary>
    public string? Compression { get; set; }

    /// <summary>What the machine boots when it is reset; null if that is not known.</summary>
    public SavedBoot? Boot { get; set; }

    /// <summary>What a reboot by the guest does: "Restart" or "Exit"; null for a machine of a version that did not save it.</summary>
    public string? OnReboot { get; set; }

    /// <summary>Whether a triple fault is taken as a reboot.</summary>
    public bool RestartsOnTripleFault { get; set; }

    /// <summary>Its devices and processors, and the versions of their states.</summary>
    public SavedDevice[] Devices { get; set; } = [];

    /// <summary>The other files.</summary>
    public SavedFile[] Files { get; set; } = [];

    /// <summary>What the program that took it wants to know again.</summary>
    public Dictionary<string, string> Labels { get; set; } = [];
}
