using System.Runtime.Intrinsics.X86;
using Lamina.Machine.Processors;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Extensions of this host's processor that stubs can use. What the host lacks cannot be offered to a guest.</summary>
internal static class HostFeatures
{
    /// <summary>Those of <see cref="ProcessorFeatures"/> that execute as themselves.</summary>
    public static readonly ProcessorFeatures All = Find();

    private static ProcessorFeatures Find()
    {
        if (!X86Base.IsSupported)
        {
            return ProcessorFeatures.None;
        }

        (int highest, _, _, _) = X86Base.CpuId(0, 0);
        (_, _, int ecx, int edx) = X86Base.CpuId(1, 0);
        (_, int ebx7, _, _) = highest >= 7 ? X86Base.CpuId(7, 0) : default;
        (_, _, int extended, _) = X86Base.CpuId(unchecked((int)0x80000001), 0);

        bool avx = HostExtendedState.HasAvx;
        return
            Bit(edx, 0, ProcessorFeatures.Fpu) |
            Bit(edx, 15, ProcessorFeatures.Cmov) |
            Bit(edx, 23, ProcessorFeatures.Mmx) |
            Bit(edx, 24, ProcessorFeatures.Fxsr) |
            Bit(edx, 25, ProcessorFeatures.Sse) |
            Bit(edx, 26, ProcessorFeatures.Sse2) |
            Bit(ecx, 0, ProcessorFeatures.Sse3) |
            Bit(ecx, 1, ProcessorFeatures.Pclmulqdq) |
            Bit(ecx, 9, ProcessorFeatures.Ssse3) |
            Bit(ecx, 19, ProcessorFeatures.Sse41) |
            Bit(ecx, 20, ProcessorFeatures.Sse42) |
            Bit(ecx, 22, ProcessorFeatures.Movbe) |
            Bit(ecx, 23, ProcessorFeatures.Popcnt) |
            Bit(ecx, 25, ProcessorFeatures.Aes) |
            Bit(avx ? ecx : 0, 12, ProcessorFeatures.Fma) |
            Bit(avx ? ecx : 0, 28, ProcessorFeatures.Avx) |
            Bit(avx ? ecx : 0, 29, ProcessorFeatures.F16C) |
            Bit(avx ? ebx7 : 0, 5, ProcessorFeatures.Avx2) |
            Bit(avx ? ebx7 : 0, 3, ProcessorFeatures.Bmi1) |
            Bit(avx ? ebx7 : 0, 8, ProcessorFeatures.Bmi2) |
            Bit(ebx7, 19, ProcessorFeatures.Adx) |
            Bit(ebx7, 29, ProcessorFeatures.Sha) |
            Bit(extended, 5, ProcessorFeatures.Lzcnt) |
            ProcessorFeatures.Xsave | ProcessorFeatures.XsaveOpt | ProcessorFeatures.XsaveC | ProcessorFeatures.Xgetbv1;
    }

    private static ProcessorFeatures Bit(int register, int bit, ProcessorFeatures feature) => (register & (1 << bit)) != 0 ? feature : 0;
}
