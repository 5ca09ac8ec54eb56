using System.Runtime.InteropServices;
using Lamina.Interop.Events;

namespace Lamina.Interop;

/// <summary>Reading, writing and waiting on file descriptors. Interrupted calls are repeated; no call throws for what the other end does.</summary>
public static unsafe class Descriptor
{
    /// <summary>Standard input.</summary>
    public const int StandardInput = 0;

    /// <summary>Standard output.</summary>
    public const int StandardOutput = 1;

    /// <summary>Standard error.</summary>
    public const int StandardError = 2;

    /// <summary>Reads what there is.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="error">0, or the errno value.</param>
    /// <returns>The number of bytes, 0 at the end, or -1 on an error.</returns>
    public static int Read(int descriptor, Span<byte> buffer, out int error)
    {
        nint count;
        // SAFETY: the kernel writes at most buffer.Length bytes to the pinned buffer.
        fixed (byte* p = buffer)
        {
            do
            {
                count = NativeMethods.Read(descriptor, p, (nuint)buffer.Length);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == ErrorNumber.Interrupted);
        }

        return (int)count;
    }

    /// <summary>Writes what fits.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="error">0, or the errno value.</param>
    /// <returns>How many bytes were taken, or -1 on an error.</returns>
    public static int Write(int descriptor, ReadOnlySpan<byte> data, out int error)
    {
        nint count;
        // SAFETY: the kernel reads at most data.Length bytes of the pinned span.
        fixed (byte* p = data)
        {
            do
            {
                count = NativeMethods.Write(descriptor, p, (nuint)data.Length);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == ErrorNumber.Interrupted);
        }

        return (int)count;
    }

    /// <summary>Waits for one descriptor.</summary>
    /// <param name="descriptor">The descriptor.</param>
    /// <param name="interest">What to wait for.</param>
    /// <param name="timeoutMilliseconds">How long at most; -1 without end.</param>
    /// <returns>What it is ready for; none after the timeout.</returns>
    public static Readiness Wait(int descriptor, Readiness interest, int timeoutMilliseconds)
    {
        PollDescriptor poll = new() { Descriptor = descriptor, Events = (short)interest };
        int result;
        do
        {
            // SAFETY: one structure, of the layout of struct pollfd.
            result = NativeMethods.Poll(&poll, 1, timeoutMilliseconds);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.Interrupted);

        return result < 0 ? throw SystemCallException.FromLastError("poll") : (Readiness)poll.Returned;
    }
}
