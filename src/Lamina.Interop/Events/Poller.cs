using System.Runtime.InteropServices;

namespace Lamina.Interop.Events;

/// <summary>Waits for many descriptors at once (epoll, level-triggered). Adding and removing may happen on any thread; one thread waits.</summary>
public sealed unsafe class Poller : SafeHandle
{
    /// <summary>Most answers of one wait.</summary>
    public const int BatchSize = 32;

    private const int CloseOnExec = 0x80000;
    private const int AddOperation = 1;
    private const int RemoveOperation = 2;
    private const int ModifyOperation = 3;

    /// <summary>Makes one without descriptors.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public Poller()
        : base(-1, ownsHandle: true)
    {
        int descriptor = NativeMethods.CreatePoll(CloseOnExec);
        SetHandle(descriptor >= 0 ? descriptor : throw SystemCallException.FromLastError("epoll_create1"));
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Adds a descriptor.</summary>
    /// <exception cref="SystemCallException">It is not one that can be waited for (a plain file), or it is there already.</exception>
    public void Add(int descriptor, Readiness interest, ulong token) => Control(AddOperation, descriptor, interest, token);

    /// <summary>Changes what is waited for.</summary>
    public void Modify(int descriptor, Readiness interest, ulong token) => Control(ModifyOperation, descriptor, interest, token);

    /// <summary>Removes a descriptor.</summary>
    public void Remove(int descriptor) => Control(RemoveOperation, descriptor, Readiness.None, 0);

    /// <summary>Waits until some descriptor is ready.</summary>
    /// <param name="ready">Room for the answers.</param>
    /// <param name="timeoutMilliseconds">How long at most; -1 without end.</param>
    /// <returns>The number of answers.</returns>
    public int Wait(Span<ReadyDescriptor> ready, int timeoutMilliseconds)
    {
        PollEvent* events = stackalloc PollEvent[BatchSize];
        int capacity = Math.Min(ready.Length, BatchSize);
        // SAFETY: the kernel writes at most that many structures of the layout of struct epoll_event.
        int count = NativeMethods.WaitPoll((int)handle, events, capacity, timeoutMilliseconds);
        if (count < 0)
        {
            return Marshal.GetLastPInvokeError() == ErrorNumber.Interrupted ? 0 : throw SystemCallException.FromLastError("epoll_wait");
        }

        for (int i = 0; i < count; i++)
        {
            ready[i] = new ReadyDescriptor(events[i].Data, (Readiness)events[i].Events);
        }

        return count;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;

    private void Control(int operation, int descriptor, Readiness interest, ulong token)
    {
        PollEvent value = new() { Events = (uint)interest, Data = token };
        // SAFETY: one structure, of the layout of struct epoll_event.
        if (NativeMethods.ControlPoll((int)handle, operation, descriptor, &value) != 0)
        {
            throw SystemCallException.FromLastError("epoll_ctl");
        }
    }
}
