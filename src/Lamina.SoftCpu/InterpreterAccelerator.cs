using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.SoftCpu;

/// <summary>The software CPU, interpreting. Runs on every x86-64 Linux host, with no help from hardware or kernel.</summary>
public sealed class InterpreterAccelerator : IAccelerator
{
    /// <inheritdoc/>
    public string Name => "interpreter";

    /// <inheritdoc/>
    public ulong? TscFrequency => null;

    /// <inheritdoc/>
    public int PhysicalAddressBits => 52;

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid) => ParavirtualLeaves.Remove(cpuid);

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Extras => [];

    /// <inheritdoc/>
    public bool AnswersForKvm => false;

    /// <inheritdoc/>
    public string? FindObstacle(IPersonality personality) => null;

    /// <inheritdoc/>
    public IPartition CreatePartition(PartitionSettings settings) => new SoftwarePartition(settings);
}
