using Lamina.Machine.Personalities;

namespace Lamina.Machine.Processors;

/// <summary>A way to execute guest code.</summary>
public interface IAccelerator
{
    /// <summary>As on the command line: "interpreter", "translator", "kvm".</summary>
    string Name { get; }

    /// <summary>The only frequency in Hz that its time-stamp counters can have; null if they can have any.</summary>
    ulong? TscFrequency { get; }

    /// <summary>Most physical address bits of its processors.</summary>
    int PhysicalAddressBits { get; }

    /// <summary>CPUID answers less the features that it cannot give. A partition takes only answers that this leaves as they are.</summary>
    IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid);

    /// <summary>CPUID answers of its own that it would like guests to have beside those of the model, such as paravirtual clocks. Only accelerators that leave them as they are in <see cref="Restrict"/> can take the machine over.</summary>
    IReadOnlyList<CpuidEntry> Extras { get; }

    /// <summary>Whether it is KVM, which answers for KVM's interface itself: the machine's personality of that name then shows no features.</summary>
    bool AnswersForKvm { get; }

    /// <summary>Why it cannot show guests the hypervisor: model-specific registers, hypercalls and register ports that it does not know are to come to that.</summary>
    /// <param name="personality">The hypervisor, in the state that it has now. While no processor runs.</param>
    /// <returns>The reason, as the end of a sentence; null if it can.</returns>
    string? FindObstacle(IPersonality personality);

    /// <summary>Makes an empty VM.</summary>
    IPartition CreatePartition(PartitionSettings settings);
}
