using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_coalesced_mmio</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmGatheredWrite
{
    /// <summary>Address or port.</summary>
    public ulong Address;

    /// <summary>Bytes.</summary>
    public uint Length;

    /// <summary>A port.</summary>
    public uint IsPort;

    /// <summary>What was written.</summary>
    public ulong Data;
}
