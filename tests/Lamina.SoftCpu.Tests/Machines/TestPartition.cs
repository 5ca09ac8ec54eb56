using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Machines;

/// <summary>What partitions of tests are made of: memory, no devices, and a clock that stands still.</summary>
internal static class TestPartition
{
    private const int PhysicalAddressBits = 40;

    /// <summary>The settings; the CPU has all extensions unless <paramref name="cpuid"/> says otherwise.</summary>
    public static PartitionSettings Settings(GuestMemory memory, IReadOnlyList<CpuidEntry>? cpuid = null)
    {
        NoLock none = new();
        return new PartitionSettings
        {
            Memory = memory,
            Ports = new AddressSpace(AddressSpace.PortCount, none),
            Mmio = new AddressSpace(1UL << PhysicalAddressBits, none),
            Clock = new StoppedClock(),
            TscFrequency = 1_000_000_000,
            PhysicalAddressBits = PhysicalAddressBits,
            Cpuid = cpuid ?? FeatureEntries.Create(FeatureEntries.All),
        };
    }
}
