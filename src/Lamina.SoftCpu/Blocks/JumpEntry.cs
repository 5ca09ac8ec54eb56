using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Blocks;

/// <summary>One cached block look-up: 16 bytes, read by translated code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct JumpEntry
{
    /// <summary>Linear address; in an empty entry one that belongs to another.</summary>
    public ulong Linear;

    /// <summary>The translation's entry, or a routine that leaves for the run loop with the target in the address register.</summary>
    public byte* Code;
}
