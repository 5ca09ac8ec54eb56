using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>Limits of this process (setrlimit(2)), which it cannot raise again.</summary>
public static unsafe partial class ResourceLimits
{
    private const int Core = 4;
    private const int Files = 7;
    private const int MessageBytes = 12;
    private const int NicePriority = 13;
    private const int RealTimePriority = 14;

    /// <summary>Allows this many open files, or as many as were allowed at most if those are fewer.</summary>
    /// <returns>0, or the errno value.</returns>
    public static int SetFiles(ulong count) => SetLimit(Files, count, raises: true);

    /// <summary>How many files may be open. Any thread.</summary>
    public static ulong GetFiles()
    {
        ulong* limits = stackalloc ulong[2];

        // SAFETY: struct rlimit is two words.
        return Get(Files, limits) == 0 ? limits[0] : 0;
    }

    /// <summary>Forbids what a machine never does: to write its memory into a core file, to have message queues, and to raise its priority.</summary>
    /// <returns>0, or the errno value.</returns>
    public static int ForbidRest()
    {
        int error = 0;
        foreach (int resource in (ReadOnlySpan<int>)[Core, MessageBytes, NicePriority, RealTimePriority])
        {
            int result = SetLimit(resource, 0);
            error = error == 0 ? result : error;
        }

        return error;
    }

    private static int SetLimit(int resource, ulong value, bool raises = false)
    {
        ulong* limits = stackalloc ulong[2];
        // SAFETY: struct rlimit is two words.
        if (Get(resource, limits) != 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        limits[1] = Math.Min(limits[1], value);
        limits[0] = raises ? limits[1] : Math.Min(limits[0], limits[1]);
        return Set(resource, limits) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int Get(int resource, ulong* limits);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int Set(int resource, ulong* limits);
}
