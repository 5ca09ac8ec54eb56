using System.Runtime.InteropServices;
using Lamina.Interop.Files;

namespace Lamina.Interop.Networks;

/// <summary>A file descriptor that carries packets or a stream, and never blocks.</summary>
public sealed unsafe class OwnedDescriptor : SafeHandle
{
    internal OwnedDescriptor(int descriptor)
        : base(-1, ownsHandle: true)
    {
        SetHandle(descriptor);
    }

    /// <summary>Takes over a descriptor that another process has opened, and has it never block.</summary>
    public static OwnedDescriptor Adopt(int descriptor)
    {
        const int GetStatusFlags = 3;
        const int SetStatusFlags = 4;
        const int NonBlocking = 0x800;
        int flags = NativeMethods.ControlFile(descriptor, GetStatusFlags, 0L);
        _ = NativeMethods.ControlFile(descriptor, SetStatusFlags, (long)(flags | NonBlocking));
        return new OwnedDescriptor(descriptor);
    }

    /// <summary>Its number.</summary>
    public int Number => (int)handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Reads what there is.</summary>
    /// <returns>The number of bytes, 0 at the end, or -1 with an errno value.</returns>
    public int Read(Span<byte> buffer, out int error) => Descriptor.Read(Number, buffer, out error);

    /// <summary>Reads what there is.</summary>
    /// <returns>The number of bytes, 0 at the end, or -1 with an errno value.</returns>
    public int Read(ReadOnlySpan<IoVector> vectors, out int error)
    {
        nint count;
        // SAFETY: the caller vouches for the memory that the vectors name.
        fixed (IoVector* p = vectors)
        {
            do
            {
                count = NativeMethods.ReadVectorStream(Number, p, vectors.Length);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == ErrorNumber.Interrupted);
        }

        return (int)count;
    }

    /// <summary>Writes what fits.</summary>
    /// <returns>The number of bytes, or -1 with an errno value.</returns>
    public int Write(ReadOnlySpan<IoVector> vectors, out int error)
    {
        nint count;
        // SAFETY: the caller vouches for the memory that the vectors name.
        fixed (IoVector* p = vectors)
        {
            do
            {
                count = NativeMethods.WriteVectorStream(Number, p, vectors.Length);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == ErrorNumber.Interrupted);
        }

        return (int)count;
    }

    /// <summary>Waits until it, or a notifier, is ready.</summary>
    /// <param name="interest">What to wait for on this descriptor; errors are always reported if it is not none.</param>
    /// <param name="notifier">A descriptor that wakes the wait when it can be read.</param>
    /// <param name="notified">Whether it was that.</param>
    public Events.Readiness Wait(Events.Readiness interest, int notifier, out bool notified)
    {
        Events.PollDescriptor* all = stackalloc Events.PollDescriptor[2];
        all[0] = new Events.PollDescriptor { Descriptor = notifier, Events = (short)Events.Readiness.Readable };
        all[1] = new Events.PollDescriptor { Descriptor = interest == Events.Readiness.None ? -1 : Number, Events = (short)interest };
        int result;
        do
        {
            // SAFETY: two structures of the layout of struct pollfd.
            result = NativeMethods.Poll(all, 2, -1);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.Interrupted);

        notified = all[0].Returned != 0;
        return result < 0 ? throw SystemCallException.FromLastError("poll") : (Events.Readiness)all[1].Returned;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;
}
