using System.Runtime.InteropServices;
using Lamina.Interop.Files;

namespace Lamina.Interop.Networks;

/// <summary>Gives open files to the process at the other end of a Unix socket, beside bytes of the stream (SCM_RIGHTS, unix(7)).</summary>
public static unsafe partial class DescriptorPassing
{
    /// <summary>Most descriptors of one message.</summary>
    public const int Maximum = 128;

    private const int SocketLevel = 1;
    private const int Rights = 1;
    private const int ControlHeader = 16;
    private const int NoSignal = 0x4000;
    private const int CloseOnExec = 0x40000000;
    private const int ControlTruncated = 8;

    /// <summary>Sends descriptors, with one byte of the stream. They stay open here, too.</summary>
    /// <returns>0, or the errno value.</returns>
    public static int Send(SafeHandle socket, ReadOnlySpan<int> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, Maximum);
        byte one = 0;
        byte* control = stackalloc byte[ControlHeader + (Maximum * sizeof(int))];
        *(nuint*)control = (nuint)(ControlHeader + (descriptors.Length * sizeof(int)));
        *(int*)(control + 8) = SocketLevel;
        *(int*)(control + 12) = Rights;
        descriptors.CopyTo(new Span<int>(control + ControlHeader, Maximum));
        IoVector vector = new((nint)(&one), 1);
        Message message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = *(nuint*)control };
        while (true)
        {
            // SAFETY: struct msghdr with one vector and one control message, all on this stack.
            if (SendMessage(socket, &message, NoSignal) == 1)
            {
                return 0;
            }

            if (Marshal.GetLastPInvokeError() is var error and not ErrorNumber.Interrupted)
            {
                return error;
            }
        }
    }

    /// <summary>Receives one message of <see cref="Send"/>. Waits for it.</summary>
    /// <param name="socket">The socket, of which no byte is waiting that belongs to something else.</param>
    /// <param name="descriptors">Takes them; as many as it has places are expected.</param>
    /// <returns>Whether that many came; otherwise none is left open.</returns>
    public static bool TryReceive(SafeHandle socket, Span<int> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, Maximum);
        byte one;
        byte* control = stackalloc byte[ControlHeader + (Maximum * sizeof(int))];
        IoVector vector = new((nint)(&one), 1);
        Message message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlHeader + (Maximum * sizeof(int)) };
        nint count;
        do
        {
            // SAFETY: as above; the kernel writes at most what the lengths say.
            count = ReceiveMessage(socket, &message, CloseOnExec);
        }
        while (count < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.Interrupted);
        if (count < 0 || message.ControlLength < ControlHeader || *(int*)(control + 8) != SocketLevel || *(int*)(control + 12) != Rights)
        {
            return false;
        }

        int got = (int)((Math.Min(*(nuint*)control, message.ControlLength) - ControlHeader) / sizeof(int));
        ReadOnlySpan<int> numbers = new(control + ControlHeader, got);
        if (count == 1 && got == descriptors.Length && (message.Flags & ControlTruncated) == 0)
        {
            numbers.CopyTo(descriptors);
            return true;
        }

        foreach (int number in numbers)
        {
            _ = NativeMethods.Close(number);
        }

        return false;
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(SafeHandle socket, Message* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(SafeHandle socket, Message* message, int flags);

    /// <summary>struct msghdr.</summary>
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
