using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary><c>struct flock</c> on 64-bit Linux, for locks that belong to an open file description.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FileLock
{
    public const int GetOpenFile = 36;
    public const int SetOpenFile = 37;

    private const short Read = 0;
    private const short Write = 1;
    private const short Unlocked = 2;

    private short _type;
    private short _whence;
    private long _start;
    private long _length;
    private int _process;

    public readonly bool IsUnlocked => _type == Unlocked;

    public static FileLock Shared(long position) => new() { _type = Read, _start = position, _length = 1 };

    public static FileLock None() => new() { _type = Unlocked };

    public static FileLock Exclusive(long position) => new() { _type = Write, _start = position, _length = 1 };
}
