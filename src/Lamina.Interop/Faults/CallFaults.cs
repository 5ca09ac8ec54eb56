using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.Interop.Events;
using Lamina.Interop.Isolation;

namespace Lamina.Interop.Faults;

/// <summary>
/// For tests: has chosen system calls of one thread, and of those that it starts, fail. The kernel asks this object about each of them (seccomp's user notification), which lets it go on or
/// gives it an error in its place. So every call of the product can fail where it is made, and nothing is in its way when no test asks.
/// </summary>
internal sealed unsafe partial class CallFaults
{
    private const nint SetModeFilter = 1;
    private const nint NewListener = 8;
    private const nuint Receive = 0xc0502100;
    private const nuint Send = 0xc0182101;
    private const int RequestLength = 80;
    private const int AnswerLength = 24;
    private const uint Continue = 1;
    private const int CallOffset = 16;
    private const int HangUp = 0x10;
    private readonly int _failing;
    private readonly int _last;
    private readonly int _error;
    private int _seen;
    private int _failed;
    private volatile bool _done;

    private CallFaults(int failing, int last, int error)
    {
        _failing = failing;
        _last = last;
        _error = error;
    }

    /// <summary>Runs something on a thread whose calls fail.</summary>
    /// <param name="call">Which call.</param>
    /// <param name="checks">With which arguments alone.</param>
    /// <param name="failing">From the how many-th on they fail, counted from 0.</param>
    /// <param name="count">How many fail.</param>
    /// <param name="error">With which errno value.</param>
    /// <param name="work">What is done.</param>
    /// <returns>How many such calls it made; how many failed; and the exception that it ended with.</returns>
    internal static (int Seen, int Failed, Exception? Exception) Run(SystemCall call, ReadOnlySpan<ArgumentCheck> checks, int failing, int count, int error, Action work)
    {
        CallFaults faults = new(failing, failing + count, error);
        FilterAssembler assembler = new();
        assembler.Notify(call, [.. checks]);
        FilterInstruction[] filter = assembler.ToArray();
        Exception? exception = null;
        using ManualResetEventSlim ready = new();
        int listener = -1;
        Thread thread = new(() =>
        {
            listener = Install(filter);
            ready.Set();
            if (listener < 0)
            {
                exception = SystemCallException.FromLastError("seccomp");
                return;
            }

            try
            {
                work();
            }
            catch (Exception e)
            {
                exception = e;
            }
        });
        thread.Start();
        ready.Wait();
        if (listener >= 0)
        {
            // Until the last thread with the filter has ended: some may be the runtime's, which go on.
            Thread answers = new(() => faults.Answer(listener)) { IsBackground = true };
            answers.Start();
        }

        thread.Join();
        faults._done = true;
        return (faults._seen, faults._failed, exception);
    }

    private static int Install(FilterInstruction[] code)
    {
        if (Call((nint)SystemCall.Prctl, 38, 1, null, 0, 0) != 0)
        {
            return -1;
        }

        fixed (FilterInstruction* p = code)
        {
            // SAFETY: struct sock_fprog.
            byte* program = stackalloc byte[16];
            *(ushort*)program = (ushort)code.Length;
            *(FilterInstruction**)(program + 8) = p;
            return (int)Call((nint)SystemCall.Seccomp, SetModeFilter, NewListener, program, 0, 0);
        }
    }

    private void Answer(int listener)
    {
        byte* request = stackalloc byte[RequestLength];
        byte* answer = stackalloc byte[AnswerLength];
        while (true)
        {
            Readiness ready = Descriptor.Wait(listener, Readiness.Readable, -1);
            if (((int)ready & HangUp) != 0 && (ready & Readiness.Readable) == 0)
            {
                _ = NativeMethods.Close(listener);
                return;
            }

            // SAFETY: struct seccomp_notif, which has to be zero before, and struct seccomp_notif_resp.
            new Span<byte>(request, RequestLength).Clear();
            if (NativeMethods.Control(listener, Receive, request) != 0)
            {
                continue;
            }

            bool fails = !_done && _seen >= _failing && _seen < _last;
            _seen += _done ? 0 : 1;
            _failed += fails ? 1 : 0;
            Span<byte> words = new(answer, AnswerLength);
            words.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(words, *(ulong*)request);
            BinaryPrimitives.WriteInt32LittleEndian(words[CallOffset..], fails ? -_error : 0);
            BinaryPrimitives.WriteUInt32LittleEndian(words[(CallOffset + 4)..], fails ? 0 : Continue);
            _ = NativeMethods.Control(listener, Send, answer);
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint first, nint second, void* third, nint fourth, nint fifth);
}
