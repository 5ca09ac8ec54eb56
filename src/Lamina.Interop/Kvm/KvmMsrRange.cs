using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_msr_filter_range</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMsrRange
{
    /// <summary>Reads (1) and writes (2).</summary>
    public uint Flags;

    /// <summary>MSRs in the range.</summary>
    public uint Count;

    /// <summary>Number of the first.</summary>
    public uint First;

    /// <summary>Nothing.</summary>
    public uint Padding;

    /// <summary>Address of a bit for each; clear ones are intercepted.</summary>
    public ulong Bitmap;
}
