using System.Runtime.Intrinsics.X86;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Cpu;

/// <summary>What the processor under this process offers to programs.</summary>
internal static class HostProcessor
{
    /// <summary>Whether programs can use the feature here, by CPUID and, for AVX state, by the operating system's leave.</summary>
    internal static bool Has(CpuFeature feature)
    {
        if (!X86Base.IsSupported)
        {
            return false;
        }

        uint range = feature.Leaf & 0x8000_0000;
        if ((uint)X86Base.CpuId((int)range, 0).Eax < feature.Leaf)
        {
            return false;
        }

        (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)feature.Leaf, 0);
        int word = feature.Register switch
        {
            CpuidRegister.Eax => eax,
            CpuidRegister.Ebx => ebx,
            CpuidRegister.Ecx => ecx,
            _ => edx,
        };
        bool needsAvxState = feature.Name is "avx" or "avx2" or "fma" or "f16c";
        return (word >>> feature.Bit & 1) != 0 && (!needsAvxState || HostExtendedState.HasAvx);
    }
}
