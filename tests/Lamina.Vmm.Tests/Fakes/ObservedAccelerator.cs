using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Tests.Fakes;

/// <summary>An accelerator that shows what its partition was made of.</summary>
internal sealed class ObservedAccelerator(IAccelerator inner) : IAccelerator
{
    public PartitionSettings? Settings { get; private set; }

    public string Name => inner.Name;

    public ulong? TscFrequency => inner.TscFrequency;

    public int PhysicalAddressBits => inner.PhysicalAddressBits;

    public IReadOnlyList<CpuidEntry> Extras => inner.Extras;

    public bool AnswersForKvm => inner.AnswersForKvm;

    public string? FindObstacle(IPersonality personality) => inner.FindObstacle(personality);

    public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid) => inner.Restrict(cpuid);

    public IPartition CreatePartition(PartitionSettings settings)
    {
        Settings = settings;
        return inner.CreatePartition(settings);
    }
}
