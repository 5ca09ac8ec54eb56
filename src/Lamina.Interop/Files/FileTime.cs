using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary><c>struct timespec</c>, with the nanosecond values that mean "now" and "leave it".</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct FileTime(long Seconds, long Nanoseconds)
{
    /// <summary>The time of the call.</summary>
    public static FileTime Now => new(0, 0x3fff_ffff);

    /// <summary>No change.</summary>
    public static FileTime Same => new(0, 0x3fff_fffe);
}
