using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_cpuid_entry2</c>.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct KvmCpuidEntry
{
    /// <summary>The answer depends on ECX.</summary>
    public const uint HasSubleaves = 1;

    /// <summary>EAX of the question.</summary>
    public uint Leaf;

    /// <summary>ECX of the question.</summary>
    public uint Subleaf;

    /// <summary>Whether ECX matters.</summary>
    public uint Flags;

    /// <summary>EAX.</summary>
    public uint Eax;

    /// <summary>EBX.</summary>
    public uint Ebx;

    /// <summary>ECX.</summary>
    public uint Ecx;

    /// <summary>EDX.</summary>
    public uint Edx;

    /// <summary>Nothing.</summary>
    public uint Padding1;

    /// <summary>Nothing.</summary>
    public ulong Padding2;
}
