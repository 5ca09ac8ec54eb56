using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_debugregs</c>.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
public struct KvmDebugRegisters
{
    /// <summary>DR0.</summary>
    public ulong Dr0;

    /// <summary>DR1.</summary>
    public ulong Dr1;

    /// <summary>DR2.</summary>
    public ulong Dr2;

    /// <summary>DR3.</summary>
    public ulong Dr3;

    /// <summary>DR6.</summary>
    public ulong Dr6;

    /// <summary>DR7.</summary>
    public ulong Dr7;

    /// <summary>None are defined.</summary>
    public ulong Flags;
}
