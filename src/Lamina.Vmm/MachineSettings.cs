using Lamina.Boot;
using Lamina.Machine.Backends;
using Lamina.Machine.Processors;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;

namespace Lamina.Vmm;

/// <summary>What a <see cref="VirtualMachine"/> is made of.</summary>
public sealed record MachineSettings
{
    /// <summary>Smallest RAM of a machine, in bytes.</summary>
    public const ulong MinimumMemorySize = 4UL << 20;

    /// <summary>Largest RAM of a machine, in bytes.</summary>
    public const ulong MaximumMemorySize = 1UL << 40;

    /// <summary>Most virtual processors of a machine.</summary>
    public const int MaximumProcessorCount = 64;

    /// <summary>Its name, for listings and messages.</summary>
    public string Name { get; init; } = "lamina";

    /// <summary>RAM in bytes: a multiple of 1 MiB.</summary>
    public ulong MemorySize { get; init; } = 512UL << 20;

    /// <summary>
    /// How much of <see cref="MemorySize"/> the guest has at the start, in bytes; null for all. The rest, a multiple of 128 MiB, counts as given back by <see cref="Balloon"/>, and a guest of Hyper-V gets it while it runs, when
    /// the balloon's target says so.
    /// </summary>
    public ulong? StartMemorySize { get; init; }

    /// <summary>Virtual processors, 1 to <see cref="MaximumProcessorCount"/>.</summary>
    public int ProcessorCount { get; init; } = 1;

    /// <summary>The CPU model: one of <see cref="Lamina.Boot.Cpu.CpuModel.Names"/>.</summary>
    public string CpuModel { get; init; } = "max";

    /// <summary>What executes the guest.</summary>
    public required IAccelerator Accelerator { get; init; }

    /// <summary>Accelerators under which it must be able to go on later: its processors have only what all of them can give.</summary>
    public IReadOnlyList<IAccelerator> CompatibleWith { get; init; } = [];

    /// <summary>What it boots; null for a machine that goes on where a snapshot was taken and cannot boot; it ends when it is reset.</summary>
    public required BootSource? Boot { get; init; }

    /// <summary>The snapshot in whose state it begins, by <see cref="SnapshotSettings.Create"/>; null for a machine that boots. It must be open until the machine has been made.</summary>
    public MachineSnapshot? Snapshot { get; init; }

    /// <summary>Whether a machine that begins in a snapshot's state has its clocks step by the time that has passed since; else they go on where they stood.</summary>
    public bool StepsClock { get; init; }

    /// <summary>Where the output of the first serial port (COM1, ttyS0) goes. Not disposed by the machine.</summary>
    public ICharacterOutput Serial0 { get; init; } = NullCharacterOutput.Instance;

    /// <summary>Where the output of the second serial port (COM2, ttyS1) goes. Not disposed by the machine.</summary>
    public ICharacterOutput Serial1 { get; init; } = NullCharacterOutput.Instance;

    /// <summary>The hypervisor that the guest sees.</summary>
    public PersonalityKind Personality { get; init; }

    /// <summary>
    /// The machine's shape: 1 is the PC. 2, for guests of <see cref="PersonalityKind.HyperV"/> alone, has neither PCI nor legacy devices, as Hyper-V's generation 2: disks, cards, balloon, sockets and keyboard are on VMBus, and there is no
    /// place for virtio devices, shared folders, a virtio console, named ports, a screen or devices for test programs.
    /// </summary>
    public int Generation { get; init; } = 1;

    /// <summary>How the guest finds its virtio devices.</summary>
    public VirtioTransport Transport { get; init; }

    /// <summary>Its disks, in the order in which the guest finds them.</summary>
    public IReadOnlyList<DiskSettings> Disks { get; init; } = [];

    /// <summary>Its network cards.</summary>
    public IReadOnlyList<NetworkSettings> Networks { get; init; } = [];

    /// <summary>Slots of the PCI bus that are left empty, because their devices have been detached; so the others have the slots that they had.</summary>
    public IReadOnlyList<int> EmptySlots { get; init; } = [];

    /// <summary>The folders that it shares with the host.</summary>
    public IReadOnlyList<ShareSettings> Shares { get; init; } = [];

    /// <summary>Where the output of a virtio console (hvc0) goes; null for a machine without one. Not disposed by the machine.</summary>
    public ICharacterOutput? Console { get; init; }

    /// <summary>Named ports between guest and host.</summary>
    public IReadOnlyList<PortSettings> Ports { get; init; } = [];

    /// <summary>Its memory balloon; null for none.</summary>
    public BalloonSettings? Balloon { get; init; }

    /// <summary>Its screen, keyboard and mouse beside the PC's keyboard; null for none. Only <see cref="PersonalityKind.HyperV"/> and <see cref="PersonalityKind.Xen"/> have them.</summary>
    public ScreenSettings? Screen { get; init; }

    /// <summary>Its sockets to this host; null for none.</summary>
    public SocketSettings? Sockets { get; init; }

    /// <summary>
    /// Whether it has the devices that programs which test a processor expect of QEMU: pc-testdev, fw_cfg, and an exit device after whose write of N <see cref="MachineResult.Code"/> is 2 N + 1. The
    /// guest has the interrupt lines of all other devices in its hands then.
    /// </summary>
    public bool HasTestDevices { get; init; }

    /// <summary>What a reboot by the guest does.</summary>
    public RebootAction OnReboot { get; init; } = RebootAction.Restart;

    /// <summary>Called on each of the machine's own threads when it has begun, before it does anything else: for priorities, affinities and filters. It may not throw. Null for none.</summary>
    public Action<MachineThread>? ThreadStarted { get; init; }

    /// <summary>Whether it is a machine of the second generation.</summary>
    internal bool IsGeneration2 => Generation == 2;

    /// <summary>Whether a triple fault is taken as a reboot. Otherwise it is a crash.</summary>
    public bool RestartOnTripleFault { get; init; }
}
