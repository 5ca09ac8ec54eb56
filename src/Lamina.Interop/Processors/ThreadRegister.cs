using System.Runtime.InteropServices;

namespace Lamina.Interop.Processors;

/// <summary>The GS base of the calling thread, which neither the runtime nor the C library uses on x86-64 Linux.</summary>
public static partial class ThreadRegister
{
    private const int ArchitectureControl = 158;
    private const int SetGs = 0x1001;

    /// <summary>Sets it (arch_prctl, ARCH_SET_GS).</summary>
    /// <exception cref="SystemCallException">The host refused.</exception>
    public static void SetGsBase(nint address)
    {
        if (SystemCall(ArchitectureControl, SetGs, address) != 0)
        {
            throw new SystemCallException("arch_prctl", Marshal.GetLastPInvokeError());
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint first, nint second);
}
