using System.Runtime.CompilerServices;

namespace Lamina.Interop.Threading;

/// <summary>
/// Wakes one thread: an auto-reset event made of one futex word. Setting it while nobody waits is one atomic exchange; a wait that has to block is one system
/// call, and a set that has to wake is one.
/// </summary>
public sealed unsafe class WakeEvent
{
    private const int Idle = 0;
    private const int Signalled = 1;
    private const int Waiting = 2;
    private const int WaitPrivate = 0 | 128;
    private const int WakePrivate = 1 | 128;
    private readonly int[] _pinned = GC.AllocateArray<int>(1, pinned: true);
    private readonly int* _word;

    /// <summary>Makes one that is not set.</summary>
    public WakeEvent()
    {
        // SAFETY: the array is pinned and lives as long as this object; the kernel needs an address that does not move.
        _word = (int*)Unsafe.AsPointer(ref _pinned[0]);
    }

    /// <summary>Sets it, and wakes the waiting thread if there is one. Any thread.</summary>
    public void Set()
    {
        if (Interlocked.Exchange(ref *_word, Signalled) == Waiting)
        {
            _ = NativeMethods.Futex(NativeMethods.FutexCall, _word, WakePrivate, 1, null, null, 0);
        }
    }

    /// <summary>Unsets it. Only the waiting thread may. Reads that follow see what was written before any earlier <see cref="Set"/>.</summary>
    public void Clear() => Interlocked.Exchange(ref *_word, Idle);

    /// <summary>Waits until it is set, and unsets it. One thread only.</summary>
    public void Wait() => Wait(Timeout.InfiniteTimeSpan);

    /// <summary>Waits until it is set, and unsets it. One thread only.</summary>
    /// <returns><c>false</c> after the timeout.</returns>
    public bool Wait(TimeSpan timeout)
    {
        long* time = stackalloc long[2];
        bool forever = timeout == Timeout.InfiniteTimeSpan;
        long deadline = forever ? 0 : Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (Interlocked.CompareExchange(ref *_word, Waiting, Idle) != Signalled)
        {
            long remaining = forever ? 0 : deadline - Environment.TickCount64;
            if (!forever && remaining <= 0)
            {
                return Interlocked.Exchange(ref *_word, Idle) == Signalled;
            }

            // SAFETY: the time is struct timespec (seconds, nanoseconds), relative. The kernel sleeps only while the word is still Waiting.
            time[0] = remaining / 1000;
            time[1] = remaining % 1000 * 1_000_000;
            _ = NativeMethods.Futex(NativeMethods.FutexCall, _word, WaitPrivate, Waiting, forever ? null : time, null, 0);
        }

        Clear();
        return true;
    }
}
