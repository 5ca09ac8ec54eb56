using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_dirty_gfn</c>: an entry of a processor's ring of dirty pages.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmDirtyPage
{
    /// <summary>KVM has filled the entry in.</summary>
    public const uint Dirty = 1;

    /// <summary>We have read it.</summary>
    public const uint Harvested = 2;

    /// <summary>Whose turn it is.</summary>
    public uint Flags;

    /// <summary>The memory slot; the address space in the upper half.</summary>
    public uint Slot;

    /// <summary>Number of the page in the slot.</summary>
    public ulong Page;
}
