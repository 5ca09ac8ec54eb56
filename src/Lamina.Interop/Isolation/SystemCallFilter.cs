using System.Runtime.InteropServices;

namespace Lamina.Interop.Isolation;

/// <summary>A filter of system calls (seccomp). It is never taken off again, and threads that are started later have those of the threads that start them.</summary>
public sealed unsafe partial class SystemCallFilter
{
    private const nint SetModeFilter = 1;
    private const nint AllThreads = 1;
    private const nint NoNewPrivileges = 38;
    private readonly FilterInstruction[] _code;

    internal SystemCallFilter(FilterInstruction[] code)
    {
        _code = code;
    }

    /// <summary>The instructions.</summary>
    public ReadOnlySpan<FilterInstruction> Code => _code;

    /// <summary>Whether filters are known for this processor's calls.</summary>
    public static bool IsSupported => RuntimeInformation.ProcessArchitecture == Architecture.X64;

    /// <summary>Puts it on the calling thread, beside those that the thread has.</summary>
    /// <returns>0, or the errno value.</returns>
    public int InstallOnThread() => Install(0);

    /// <summary>Puts it on all threads of the process, which then can gain no privileges any more.</summary>
    /// <returns>0, or the errno value; EBUSY if a thread has a filter of its own already.</returns>
    public int InstallOnProcess() => Install(AllThreads);

    private int Install(nint flags)
    {
        if (Call((nint)SystemCall.Prctl, NoNewPrivileges, 1, null, 0, 0) != 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        fixed (FilterInstruction* code = _code)
        {
            // SAFETY: struct sock_fprog: the number of instructions, and where they are; the kernel copies them.
            FilterProgram program = new() { Length = (ushort)_code.Length, Code = code };
            nint result = Call((nint)SystemCall.Seccomp, SetModeFilter, flags, &program, 0, 0);
            return result == 0 ? 0 : result > 0 ? ErrorNumber.Busy : Marshal.GetLastPInvokeError();
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint first, nint second, void* third, nint fourth, nint fifth);

    /// <summary>struct sock_fprog.</summary>
    private struct FilterProgram
    {
        public ushort Length;
        public FilterInstruction* Code;
    }
}
