using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_msr_entry</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMsrEntry
{
    /// <summary>Number of the MSR.</summary>
    public uint Index;

    /// <summary>Nothing.</summary>
    public uint Padding;

    /// <summary>Its value.</summary>
    public ulong Value;
}
