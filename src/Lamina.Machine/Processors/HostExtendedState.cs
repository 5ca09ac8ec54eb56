using System.Runtime.Intrinsics.X86;

namespace Lamina.Machine.Processors;

/// <summary>
/// Which register state this host's operating system keeps for programs. The intrinsics' own tests do not tell: compiled ahead of time, they answer for the
/// processor that the program was compiled for.
/// </summary>
public static class HostExtendedState
{
    /// <summary>The upper halves of YMM registers are kept, so that AVX may be used (Intel SDM volume 1, section 14.3).</summary>
    public static bool HasAvx { get; } = FindAvx();

    private static bool FindAvx()
    {
        const int osXsave = 1 << 27;
        const int stateLeaf = 0xd;
        const int sizeWithAvx = 576 + 256;
        if (!X86Base.IsSupported || X86Base.CpuId(0, 0).Eax < stateLeaf || (X86Base.CpuId(1, 0).Ecx & osXsave) == 0)
        {
            return false;
        }

        // Bytes that XSAVE needs for what is switched on in XCR0: without AVX, the legacy area and the header.
        return X86Base.CpuId(stateLeaf, 0).Ebx >= sizeWithAvx;
    }
}
