using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Translate;

/// <summary>Host code made from one block for one virtual address, in native memory.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Translation
{
    /// <summary>RIP for which it was made.</summary>
    public ulong Rip;

    /// <summary>Entry that expects the guest's status flags in <see cref="ProcessorContext.SavedFlags"/>. Aligned to 8.</summary>
    public byte* Entry;

    /// <summary>Entry that expects them in the host's flags: for direct jumps. Aligned to 8.</summary>
    public byte* NativeEntry;

    /// <summary>Where <see cref="Entry"/> jumps once the block is dropped.</summary>
    public byte* Exit;

    /// <summary>Where <see cref="NativeEntry"/> jumps once the block is dropped.</summary>
    public byte* NativeExit;

    /// <summary>Its entry demands that vector registers are in the host's.</summary>
    public bool UsesVectors;

    /// <summary>Its entry demands that the x87 registers are in the host's.</summary>
    public bool UsesX87;

    /// <summary>Where its code ends.</summary>
    public byte* End;

    /// <summary>Next translation of the same block.</summary>
    public Translation* Next;
}
