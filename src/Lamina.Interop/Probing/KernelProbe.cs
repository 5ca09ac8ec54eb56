using System.Runtime.InteropServices;

namespace Lamina.Interop.Probing;

/// <summary>Tries system calls that a kernel, or a sandbox around this process, may lack. Nothing is left open.</summary>
public static partial class KernelProbe
{
    private const long UserFaultCall = 323;
    private const long RingSetupCall = 425;
    private const long LandlockCreateRulesetCall = 444;
    private const nint CloseOnExec = 0x80000;
    private const nint UserModeOnly = 1;
    private const nint LandlockVersionQuery = 1;
    private const int BadAddress = 14;

    /// <summary>Whether io_uring can be used.</summary>
    /// <param name="error">Why not, as errno.</param>
    public static bool HasRing(out int error)
    {
        // A kernel that has the call complains about the missing parameters.
        error = SystemCall(RingSetupCall, 1, 0, 0) < 0 ? Marshal.GetLastPInvokeError() : 0;
        return error is 0 or BadAddress;
    }

    /// <summary>Whether user-mode page faults can be handled here.</summary>
    /// <param name="error">Why not, as errno.</param>
    public static bool HasUserFault(out int error)
    {
        nint descriptor = SystemCall(UserFaultCall, CloseOnExec | UserModeOnly, 0, 0);
        error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        if (descriptor >= 0)
        {
            _ = NativeMethods.Close((int)descriptor);
        }

        return descriptor >= 0;
    }

    /// <summary>The version of the Landlock interface, or 0 if there is none.</summary>
    public static int GetLandlockVersion() => (int)Math.Max(0, SystemCall(LandlockCreateRulesetCall, 0, 0, LandlockVersionQuery));

    /// <summary>What the host says about an errno value.</summary>
    public static string Describe(int error) => Marshal.GetPInvokeErrorMessage(error);

    // Variadic in C, with a convention that passes these as ordinary arguments on x86-64 Linux.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(long number, nint first, nint second, nint third);
}
