using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Blocks;

/// <summary>One cached block look-up: 32 bytes, read by translated code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct JumpEntry
{
    /// <summary>Linear address.</summary>
    public ulong Linear;

    /// <summary>TLB generation, code size and privilege under which it was found.</summary>
    public ulong Key;

    /// <summary>The block.</summary>
    public Block* Block;

    /// <summary>Its translation's entry, or a routine that leaves for the run loop with the target in the address register.</summary>
    public byte* Code;
}
