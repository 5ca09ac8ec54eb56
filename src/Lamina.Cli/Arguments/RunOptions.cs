using Lamina.Kvm;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>What <c>lamina run</c> was asked to do, checked as far as that is possible without opening anything.</summary>
internal sealed record RunOptions
{
    /// <summary>Name of the image, or null for a kernel of one's own.</summary>
    public string? Image { get; init; }

    /// <summary>The command to run in the guest with its arguments; empty for a shell.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Command { get; init; } = [];

    /// <summary>The kernel to boot instead of the image's.</summary>
    public string? Kernel { get; init; }

    /// <summary>Initial RAM disk.</summary>
    public string? Initrd { get; init; }

    /// <summary>Added to the kernel's command line.</summary>
    public string Append { get; init; } = "";

    /// <summary>RAM in bytes.</summary>
    public ulong MemorySize { get; init; } = 512UL << 20;

    /// <summary>RAM that the guest can get while it runs, that of the start included, in bytes; null for no more than that.</summary>
    public ulong? MaximumMemory { get; init; }

    /// <summary>Virtual processors.</summary>
    public int ProcessorCount { get; init; } = 1;

    /// <summary>The accelerator's name.</summary>
    public string Accelerator { get; init; } = "auto";

    /// <summary>Which interrupt controllers are KVM's.</summary>
    public KvmControllers KvmControllers { get; init; } = KvmControllers.Auto;

    /// <summary>Offer the guest KVM's clock.</summary>
    public bool KvmClock { get; init; }

    /// <summary>What the translator is to tell of its work.</summary>
    public TranslatorInspection Inspection { get; init; } = new();

    /// <summary>The CPU model's name.</summary>
    public string CpuModel { get; init; } = "max";

    /// <summary>Where the first serial port goes.</summary>
    public SerialTarget Serial { get; init; } = SerialTarget.Default;

    /// <summary>The disks.</summary>
    public IReadOnlyList<DiskSettings> Disks { get; init; } = [];

    /// <summary>The network cards.</summary>
    public IReadOnlyList<NetworkSettings> Networks { get; init; } = [];

    /// <summary>The shared folders.</summary>
    public IReadOnlyList<ShareArgument> Shares { get; init; } = [];

    /// <summary>Whether the console is a virtio device rather than the first serial port.</summary>
    public bool UsesVirtioConsole { get; init; }

    /// <summary>Bytes that the guest is to give back through its memory balloon; null for a machine without one.</summary>
    public ulong? Balloon { get; init; }

    /// <summary>The hypervisor that the guest sees.</summary>
    public PersonalityKind Personality { get; init; }

    /// <summary>The machine's shape: 1 is a PC, and 2 has neither PCI nor legacy devices.</summary>
    public int Generation { get; init; } = 1;

    /// <summary>How the guest finds its virtio devices.</summary>
    public VirtioTransport Transport { get; init; }

    /// <summary>The guest's screen; null for none.</summary>
    public ScreenSettings? Screen { get; init; }

    /// <summary>The guest's sockets to this host; null for none.</summary>
    public SocketSettings? Sockets { get; init; }

    /// <summary>Whether nothing was said of network cards, so that a system image gets one.</summary>
    public bool HasDefaultNetwork { get; init; }

    /// <summary>Keep what the system writes to its disk.</summary>
    public bool Persist { get; init; }

    /// <summary>What cloud-init is told, or null.</summary>
    public string? UserData { get; init; }

    /// <summary>The machine's name.</summary>
    public string? Name { get; init; }

    /// <summary>What a reboot by the guest does.</summary>
    public RebootAction OnReboot { get; init; } = RebootAction.Restart;

    /// <summary>Whether the machine has the devices that test programs expect.</summary>
    public bool HasTestDevices { get; init; }

    /// <summary>Run without a terminal, in a process that goes on when this one has ended.</summary>
    public bool Detach { get; init; }

    /// <summary>Whether this is that process.</summary>
    public bool IsDetachedWorker { get; init; }

    /// <summary>The snapshot's directory in whose state the machine begins; null for a machine that boots.</summary>
    public string? Snapshot { get; init; }

    /// <summary>Whether the snapshot may have its machine use what is outside of it.</summary>
    public bool AllowsHostPaths { get; init; }

    /// <summary>Whether all of the snapshot is checked before.</summary>
    public bool VerifiesSnapshot { get; init; }

    /// <summary>The accelerator's name for a restored machine; null for the one under which it was saved.</summary>
    public string? RestoreAccelerator { get; init; }

    /// <summary>Ports of this host that lead to a restored guest; "saved" stands for those of the saved machine.</summary>
    public IReadOnlyList<string> RestorePublish { get; init; } = [];

    /// <summary>Whether a restored guest's clocks step to the present time.</summary>
    public bool StepsClock { get; init; }

    /// <summary>Whether the machine's process gives up what it does not need before the guest runs.</summary>
    public bool IsSandboxed { get; init; } = true;

    /// <summary>For tests: what the sandbox forbids is tried from inside. A system call's name ends the process by it; another word tries those that fail. Null for neither.</summary>
    public string? SandboxProbe { get; init; }

    /// <summary>Show the kernel's messages while a command runs.</summary>
    public bool Verbose { get; init; }
}
