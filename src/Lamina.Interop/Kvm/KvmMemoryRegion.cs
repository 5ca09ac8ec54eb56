using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_userspace_memory_region</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMemoryRegion
{
    /// <summary>Its number.</summary>
    public uint Slot;

    /// <summary>KVM_MEM_* bits.</summary>
    public uint Flags;

    /// <summary>First guest-physical address.</summary>
    public ulong GuestAddress;

    /// <summary>Length in bytes.</summary>
    public ulong Length;

    /// <summary>First host address.</summary>
    public ulong HostAddress;
}
