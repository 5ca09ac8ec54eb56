using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>Tries a system call with arguments that change nothing even where it is allowed: no descriptor is valid, and no address is.</summary>
public static partial class SystemCallProbe
{
    /// <summary>Tries it on this thread.</summary>
    /// <returns>0, or the errno value.</returns>
    public static int Try(SystemCall call, nint first = -1, nint second = -1, nint third = -1) =>
        Call((nint)call, first, second, third, -1, -1) < 0 ? Marshal.GetLastPInvokeError() : 0;

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint first, nint second, nint third, nint fourth, nint fifth);
}
