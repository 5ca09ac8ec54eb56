using Lamina.Machine.Processors;

namespace Lamina.SoftCpu;

/// <summary>The software CPU, translating 64-bit guest code to host code and interpreting the rest.</summary>
public sealed class TranslatorAccelerator : IAccelerator
{
    /// <inheritdoc/>
    public string Name => "translator";

    /// <inheritdoc/>
    public IPartition CreatePartition(PartitionSettings settings) => new SoftwarePartition(settings, translates: true);
}
