using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary><c>struct statx</c>: what the host knows about a file.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
public readonly struct FileStatus
{
    /// <summary>The bits of the mode that tell the type.</summary>
    public const ushort TypeMask = 0xf000;

    /// <summary>The type of a regular file.</summary>
    public const ushort RegularType = 0x8000;

    /// <summary>The type of a directory.</summary>
    public const ushort DirectoryType = 0x4000;

    /// <summary>The type of a symbolic link.</summary>
    public const ushort LinkType = 0xa000;

    /// <summary>The type of a socket.</summary>
    public const ushort SocketType = 0xc000;

    /// <summary>Preferred size of transfers.</summary>
    [FieldOffset(4)]
    public readonly uint BlockSize;

    /// <summary>Number of names.</summary>
    [FieldOffset(16)]
    public readonly uint Links;

    /// <summary>Owner.</summary>
    [FieldOffset(20)]
    public readonly uint User;

    /// <summary>Group.</summary>
    [FieldOffset(24)]
    public readonly uint Group;

    /// <summary>Type and permissions.</summary>
    [FieldOffset(28)]
    public readonly ushort Mode;

    /// <summary>Inode number.</summary>
    [FieldOffset(32)]
    public readonly ulong Inode;

    /// <summary>Length in bytes.</summary>
    [FieldOffset(40)]
    public readonly ulong Size;

    /// <summary>Blocks of 512 bytes.</summary>
    [FieldOffset(48)]
    public readonly ulong Blocks;

    /// <summary>Time of the last access, seconds.</summary>
    [FieldOffset(64)]
    public readonly long AccessSeconds;

    /// <summary>Its nanoseconds.</summary>
    [FieldOffset(72)]
    public readonly uint AccessNanoseconds;

    /// <summary>Time of the last change of anything, seconds.</summary>
    [FieldOffset(96)]
    public readonly long ChangeSeconds;

    /// <summary>Its nanoseconds.</summary>
    [FieldOffset(104)]
    public readonly uint ChangeNanoseconds;

    /// <summary>Time of the last change of the content, seconds.</summary>
    [FieldOffset(112)]
    public readonly long ModificationSeconds;

    /// <summary>Its nanoseconds.</summary>
    [FieldOffset(120)]
    public readonly uint ModificationNanoseconds;

    /// <summary>Device number of a device file: major.</summary>
    [FieldOffset(128)]
    public readonly uint SpecialMajor;

    /// <summary>And minor.</summary>
    [FieldOffset(132)]
    public readonly uint SpecialMinor;

    /// <summary>The file system's device: major.</summary>
    [FieldOffset(136)]
    public readonly uint DeviceMajor;

    /// <summary>And minor.</summary>
    [FieldOffset(140)]
    public readonly uint DeviceMinor;

    /// <summary>What kind of file it is.</summary>
    public ushort Type => (ushort)(Mode & TypeMask);
}
