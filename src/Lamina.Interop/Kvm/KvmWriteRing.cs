using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_coalesced_mmio_ring</c>: a page that all processors of a machine share.</summary>
[StructLayout(LayoutKind.Explicit)]
public unsafe struct KvmWriteRing
{
    /// <summary>Entries that fit in the page.</summary>
    public const int Length = (4096 - 8) / 24;

    /// <summary>The oldest entry; ours.</summary>
    [FieldOffset(0)]
    public uint First;

    /// <summary>Where the next one goes; KVM's.</summary>
    [FieldOffset(4)]
    public uint Last;

    [FieldOffset(8)]
    private ulong _entries;

    /// <summary>The entries. Only of a ring in its page.</summary>
    public readonly KvmGatheredWrite* Entries
    {
        get
        {
            // SAFETY: the address of a field of a structure in memory that KVM shares, which does not move.
            fixed (ulong* p = &_entries)
            {
                return (KvmGatheredWrite*)p;
            }
        }
    }
}
