using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary><c>struct statfs</c> of 64-bit Linux: of which type a file system is, and how full.</summary>
[StructLayout(LayoutKind.Explicit, Size = 120)]
public readonly struct SpaceStatus
{
    /// <summary>Its type: a magic number (statfs(2)).</summary>
    [FieldOffset(0)]
    public readonly long FileSystemType;

    /// <summary>Bytes of a block.</summary>
    [FieldOffset(8)]
    public readonly long BlockSize;

    /// <summary>Blocks.</summary>
    [FieldOffset(16)]
    public readonly ulong Blocks;

    /// <summary>Free ones.</summary>
    [FieldOffset(24)]
    public readonly ulong FreeBlocks;

    /// <summary>Those that anybody may use.</summary>
    [FieldOffset(32)]
    public readonly ulong AvailableBlocks;

    /// <summary>Inodes.</summary>
    [FieldOffset(40)]
    public readonly ulong Files;

    /// <summary>Free ones.</summary>
    [FieldOffset(48)]
    public readonly ulong FreeFiles;

    /// <summary>Longest name.</summary>
    [FieldOffset(64)]
    public readonly long NameLength;

    /// <summary>Bytes of a fragment.</summary>
    [FieldOffset(72)]
    public readonly long FragmentSize;
}
