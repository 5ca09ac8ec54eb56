using static Lamina.Boot.Cpu.CpuidRegister;
using static Lamina.Boot.Cpu.CpuLevel;

namespace Lamina.Boot.Cpu;

/// <summary>The features of all models (Intel SDM volume 2, CPUID). What is not here is not offered: MONITOR, VMX, TSX, AVX-512, PKU, CET, LA57, MPX, XSAVES.</summary>
internal static class CpuFeatures
{
    internal const uint Basic = 1;
    internal const uint Structured = 7;
    internal const uint Extended = 0x8000_0001;

    internal static readonly CpuFeature[] All =
    [
        System("fpu", Basic, Edx, 0),
        System("vme", Basic, Edx, 1),
        System("de", Basic, Edx, 2),
        System("pse", Basic, Edx, 3),
        System("tsc", Basic, Edx, 4),
        System("msr", Basic, Edx, 5),
        System("pae", Basic, Edx, 6),
        System("mce", Basic, Edx, 7),
        System("cx8", Basic, Edx, 8),
        System("apic", Basic, Edx, 9),
        System("sep", Basic, Edx, 11),
        System("mtrr", Basic, Edx, 12),
        System("pge", Basic, Edx, 13),
        System("mca", Basic, Edx, 14),
        System("cmov", Basic, Edx, 15),
        System("pat", Basic, Edx, 16),
        System("pse36", Basic, Edx, 17),
        System("clflush", Basic, Edx, 19),
        Host("mmx", V2, Basic, Edx, 23),
        Host("fxsr", V2, Basic, Edx, 24),
        Host("sse", V2, Basic, Edx, 25),
        Host("sse2", V2, Basic, Edx, 26),
        System("ss", Basic, Edx, 27),

        Host("sse3", V2, Basic, Ecx, 0),
        Host("pclmulqdq", Max, Basic, Ecx, 1),
        Host("ssse3", V2, Basic, Ecx, 9),
        Host("fma", V3, Basic, Ecx, 12),
        Host("cx16", V2, Basic, Ecx, 13),
        System("pcid", Basic, Ecx, 17),
        Host("sse4_1", V2, Basic, Ecx, 19),
        Host("sse4_2", V2, Basic, Ecx, 20),
        System("x2apic", Basic, Ecx, 21),
        Host("movbe", V3, Basic, Ecx, 22),
        Host("popcnt", V2, Basic, Ecx, 23),
        System("tsc_deadline_timer", Basic, Ecx, 24),
        Host("aes", Max, Basic, Ecx, 25),
        System("xsave", Basic, Ecx, 26),
        Host("avx", V3, Basic, Ecx, 28),
        Host("f16c", V3, Basic, Ecx, 29),
        Host("rdrand", Max, Basic, Ecx, 30),
        System("hypervisor", Basic, Ecx, 31),

        System("fsgsbase", Structured, Ebx, 0),
        System("tsc_adjust", Structured, Ebx, 1),
        Host("bmi1", V3, Structured, Ebx, 3),
        Host("avx2", V3, Structured, Ebx, 5),
        System("fdp_excptn_only", Structured, Ebx, 6),
        System("smep", Structured, Ebx, 7),
        Host("bmi2", V3, Structured, Ebx, 8),
        System("erms", Structured, Ebx, 9),
        System("invpcid", Structured, Ebx, 10),
        System("zero_fcs_fds", Structured, Ebx, 13),
        Host("rdseed", Max, Structured, Ebx, 18),
        Host("adx", Max, Structured, Ebx, 19),
        System("smap", Structured, Ebx, 20),
        Host("clflushopt", Max, Structured, Ebx, 23),
        Host("sha_ni", Max, Structured, Ebx, 29),
        System("umip", Structured, Ecx, 2),
        Host("rdpid", Max, Structured, Ecx, 22),
        System("fsrm", Structured, Edx, 4),
        System("md_clear", Structured, Edx, 10),
        System("ibrs", Structured, Edx, 26),
        System("stibp", Structured, Edx, 27),
        System("arch_capabilities", Structured, Edx, 29),
        System("ssbd", Structured, Edx, 31),

        System("lahf_lm", Extended, Ecx, 0),
        Host("lzcnt", V3, Extended, Ecx, 5),
        System("prefetchw", Extended, Ecx, 8),
        System("syscall", Extended, Edx, 11),
        System("nx", Extended, Edx, 20),
        System("pdpe1gb", Extended, Edx, 26),
        System("rdtscp", Extended, Edx, 27),
        System("lm", Extended, Edx, 29),
    ];

    private static CpuFeature System(string name, uint leaf, CpuidRegister register, int bit) => new(name, V2, leaf, register, bit, NeedsHost: false);

    private static CpuFeature Host(string name, CpuLevel level, uint leaf, CpuidRegister register, int bit)
    {
        return new CpuFeature(name, level, leaf, register, bit, NeedsHost: true);
    }
}
