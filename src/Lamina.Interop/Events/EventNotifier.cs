using System.Runtime.InteropServices;

namespace Lamina.Interop.Events;

/// <summary>A counter that makes a descriptor readable (eventfd): the way to wake a thread that waits in a <see cref="Poller"/>.</summary>
public sealed unsafe class EventNotifier : SafeHandle
{
    private const int NonBlockingCloseOnExec = 0x800 | 0x80000;

    /// <summary>Makes one that is not signalled.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public EventNotifier()
        : base(-1, ownsHandle: true)
    {
        int descriptor = NativeMethods.CreateEvent(0, NonBlockingCloseOnExec);
        SetHandle(descriptor >= 0 ? descriptor : throw SystemCallException.FromLastError("eventfd"));
    }

    /// <summary>Its file descriptor.</summary>
    public int Descriptor => (int)handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Makes the descriptor readable; of one that is disposed, nothing. Any thread.</summary>
    public void Signal()
    {
        ulong one = 1;
        if (TryHold())
        {
            // SAFETY: eight bytes of this frame. The only failure is a full counter, and then it is readable.
            _ = NativeMethods.Write(Descriptor, (byte*)&one, sizeof(ulong));
            DangerousRelease();
        }
    }

    /// <summary>Makes the descriptor unreadable again.</summary>
    public void Clear() => TryTake();

    /// <summary>Makes the descriptor unreadable again.</summary>
    /// <returns>Whether it was readable; of one that is disposed, <c>false</c>.</returns>
    public bool TryTake()
    {
        if (!TryHold())
        {
            return false;
        }

        ulong count;
        // SAFETY: eight bytes of this frame. An unsignalled counter answers "try again".
        bool readable = NativeMethods.Read(Descriptor, (byte*)&count, sizeof(ulong)) == sizeof(ulong);
        DangerousRelease();
        return readable;
    }

    // The number may be another file's as soon as it is closed: whoever uses it holds it open.
    private bool TryHold()
    {
        bool held = false;
        if (!IsClosed)
        {
            try
            {
                DangerousAddRef(ref held);
            }
            catch (ObjectDisposedException)
            {
                // Disposed since.
            }
        }

        return held;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;
}
