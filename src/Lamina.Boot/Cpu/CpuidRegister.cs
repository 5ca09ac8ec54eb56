namespace Lamina.Boot.Cpu;

/// <summary>A result register of CPUID.</summary>
internal enum CpuidRegister
{
    Eax,
    Ebx,
    Ecx,
    Edx,
}
