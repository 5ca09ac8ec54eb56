using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_dtable</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmTable
{
    /// <summary>Linear base.</summary>
    public ulong Base;

    /// <summary>Last valid offset.</summary>
    public ushort Limit;

    /// <summary>Nothing.</summary>
    public ushort Padding1;

    /// <summary>Nothing.</summary>
    public uint Padding2;
}
