using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.SoftCpu;

/// <summary>The software CPU, translating 64-bit guest code to host code and interpreting the rest.</summary>
/// <param name="options">How; null for the usual.</param>
public sealed class TranslatorAccelerator(TranslatorOptions? options = null) : IAccelerator
{
    /// <inheritdoc/>
    public string Name => "translator";

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
    public IPartition CreatePartition(PartitionSettings settings) => new SoftwarePartition(settings, translates: true, options: options);
}
