using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_segment</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSegment
{
    /// <summary>Linear base.</summary>
    public ulong Base;

    /// <summary>Last valid offset in bytes.</summary>
    public uint Limit;

    /// <summary>Selector.</summary>
    public ushort Selector;

    /// <summary>Descriptor type.</summary>
    public byte Type;

    /// <summary>P.</summary>
    public byte Present;

    /// <summary>DPL.</summary>
    public byte Privilege;

    /// <summary>D/B.</summary>
    public byte Big;

    /// <summary>S.</summary>
    public byte Ordinary;

    /// <summary>L.</summary>
    public byte Long;

    /// <summary>G.</summary>
    public byte Granular;

    /// <summary>AVL.</summary>
    public byte Available;

    /// <summary>No segment is loaded.</summary>
    public byte Unusable;

    /// <summary>Nothing.</summary>
    public byte Padding;
}
