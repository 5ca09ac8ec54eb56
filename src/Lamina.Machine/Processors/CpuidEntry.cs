namespace Lamina.Machine.Processors;

/// <summary>One CPUID answer. <paramref name="Subleaf"/> is <see cref="AnySubleaf"/> where ECX does not matter.</summary>
public readonly record struct CpuidEntry(uint Leaf, uint Subleaf, uint Eax, uint Ebx, uint Ecx, uint Edx)
{
    /// <summary>The leaf ignores ECX.</summary>
    public const uint AnySubleaf = uint.MaxValue;
}
