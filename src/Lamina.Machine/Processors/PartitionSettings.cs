using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Time;

namespace Lamina.Machine.Processors;

/// <summary>What a partition is made of.</summary>
public sealed record PartitionSettings
{
    /// <summary>RAM.</summary>
    public required GuestMemory Memory { get; init; }

    /// <summary>The I/O ports.</summary>
    public required AddressSpace Ports { get; init; }

    /// <summary>Memory-mapped I/O: every physical address that is not RAM.</summary>
    public required AddressSpace Mmio { get; init; }

    /// <summary>The machine clock.</summary>
    public required IMachineClock Clock { get; init; }

    /// <summary>Frequency of the time-stamp counter in Hz; it counts the machine clock.</summary>
    public required ulong TscFrequency { get; init; }

    /// <summary>Frequency of the local APIC timers' undivided input in Hz.</summary>
    public ulong LocalTimerFrequency { get; init; } = 1_000_000_000;

    /// <summary>Physical address width in bits (36 to 52), as CPUID 0x80000008 tells it.</summary>
    public required int PhysicalAddressBits { get; init; }

    /// <summary>The processor's CPUID answers. The accelerator fills in what depends on the running state (APIC id, OSXSAVE, XSAVE size).</summary>
    public required IReadOnlyList<CpuidEntry> Cpuid { get; init; }

    /// <summary>Who answers for the hypervisor; null if the guest is told of none, or the accelerator answers itself. Only for accelerators without an <see cref="IAccelerator.FindObstacle"/>.</summary>
    public IPersonality? Personality { get; init; }
}
