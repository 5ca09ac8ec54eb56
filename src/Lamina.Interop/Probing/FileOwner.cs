using System.Runtime.InteropServices;

namespace Lamina.Interop.Probing;

/// <summary>Whose a file is (stat).</summary>
public static unsafe partial class FileOwner
{
    private const nint StatCall = 4;
    private const int StatSize = 144;
    private const int ModeOffset = 24;
    private const int GroupOffset = 32;

    /// <summary>Number of the group that owns a file, and its permission bits.</summary>
    /// <returns><c>false</c> if it cannot be told.</returns>
    public static bool TryGet(string path, out uint group, out uint mode)
    {
        byte* status = stackalloc byte[StatSize];
        // SAFETY: struct stat of x86-64 Linux is 144 bytes.
        bool done = SystemCall(StatCall, path, status) == 0;
        mode = done ? *(uint*)(status + ModeOffset) : 0;
        group = done ? *(uint*)(status + GroupOffset) : 0;
        return done;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint SystemCall(nint number, string path, byte* status);
}
