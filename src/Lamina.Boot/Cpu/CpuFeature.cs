namespace Lamina.Boot.Cpu;

/// <summary>One feature bit of CPUID.</summary>
/// <param name="Name">As processor manuals and /proc/cpuinfo readers know it.</param>
/// <param name="Level">The smallest model that has it.</param>
/// <param name="Leaf">CPUID leaf; its subleaf is 0.</param>
/// <param name="Register">Result register.</param>
/// <param name="Bit">Bit in the register.</param>
/// <param name="NeedsHost">Guest instructions of this feature run on the host's own, so that the host must have it.</param>
internal sealed record CpuFeature(string Name, CpuLevel Level, uint Leaf, CpuidRegister Register, int Bit, bool NeedsHost);
