namespace Lamina.Machine.Processors;

/// <summary>CPUID leaves of interfaces that only the kernel's KVM can give. Lamina's own leaves are before them.</summary>
public static class ParavirtualLeaves
{
    /// <summary>The leaf with the signature "KVMKVMKVM".</summary>
    public const uint KvmSignature = 0x4000_0100;

    /// <summary>The leaf with KVM's features.</summary>
    public const uint KvmFeatures = KvmSignature + 1;

    /// <summary>Whether a leaf is one of them.</summary>
    public static bool Contains(uint leaf) => leaf is >= KvmSignature and < KvmSignature + 0x100;

    /// <summary>Answers without them.</summary>
    public static IReadOnlyList<CpuidEntry> Remove(IReadOnlyList<CpuidEntry> cpuid)
    {
        ArgumentNullException.ThrowIfNull(cpuid);
        return cpuid.Any(static e => Contains(e.Leaf)) ? [.. cpuid.Where(static e => !Contains(e.Leaf))] : cpuid;
    }
}
