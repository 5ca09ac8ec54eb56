using System.Runtime.InteropServices;

namespace Lamina.Interop.Threading;

/// <summary>
/// A signal that interrupts one thread's system call. It is blocked in that thread, so that it never runs a handler: KVM_RUN unblocks it, returns because of it, and leaves it pending.
/// </summary>
public static unsafe partial class ThreadSignal
{
    // A real-time signal that neither the C library (32, 33) nor the runtime (34) uses.
    private const int Number = 40;
    private const ulong Bit = 1UL << (Number - 1);
    private const nint SetMaskCall = 14;
    private const nint GetProcessCall = 39;
    private const nint TimedWaitCall = 128;
    private const nint GetThreadCall = 186;
    private const nint SendCall = 234;
    private const int Block = 0;

    /// <summary>Number of the calling thread.</summary>
    public static int CurrentThread => (int)SystemCall(GetThreadCall, 0, null, null, 0);

    /// <summary>Blocks the signal in the calling thread.</summary>
    /// <returns>The signals that are to stay blocked while the thread waits for this one.</returns>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static ulong BlockInThisThread()
    {
        ulong block = Bit;
        ulong before = 0;
        // SAFETY: the kernel's signal sets are eight bytes.
        if (SystemCall(SetMaskCall, Block, &block, &before, sizeof(ulong)) != 0)
        {
            throw SystemCallException.FromLastError("rt_sigprocmask");
        }

        return before & ~Bit;
    }

    /// <summary>Sends it. A thread that has ended is none of anybody's business.</summary>
    public static void Send(int thread)
    {
        nint process = SystemCall(GetProcessCall, 0, null, null, 0);
        _ = SystemCall(SendCall, process, (void*)(nint)thread, (void*)(nint)Number, 0);
    }

    /// <summary>Takes what is pending in the calling thread.</summary>
    public static void Consume()
    {
        ulong set = Bit;
        long* none = stackalloc long[2];
        none[0] = none[1] = 0;
        // SAFETY: a signal set, and struct timespec of zero: the call does not wait.
        while (TimedWait(TimedWaitCall, &set, null, none, sizeof(ulong)) == Number)
        {
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint first, void* second, void* third, nint fourth);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint TimedWait(nint number, ulong* set, void* information, long* timeout, nint size);
}
