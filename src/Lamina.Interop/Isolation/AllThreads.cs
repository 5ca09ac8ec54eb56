using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Interop.Memory;

namespace Lamina.Interop.Isolation;

/// <summary>
/// Has every thread of the process restrict itself: <see cref="PrivateNamespaces"/>, no new privileges, a <see cref="FolderFence"/>, capabilities. The kernel knows these for single threads alone (a fence for all is newer than
/// the kernels that are about), and the runtime has threads before the program begins. So each thread gets a signal, as the C library does it for setuid(2), whose handler is a few
/// instructions of machine code that make the calls and nothing else: managed code may not run in whatever a signal has interrupted.
/// </summary>
public static unsafe partial class AllThreads
{
    // A real-time signal that neither the C library (32, 33), the runtime (34) nor ThreadSignal (40) uses.
    private const int Signal = 41;
    private const int Restart = 0x10000000;
    private const uint CapabilityVersion = 0x20080522;
    private const int CodeOffset = 256;
    private const int DataLength = 4096;
    private const int HeaderOffset = 64;
    private const int SetsOffset = 80;
    private const int Rounds = 200;
    private const int Patience = 1000;
    private static readonly Lock Gate = new();

    /// <summary>Restricts all threads that there are. Those that are started later begin as the ones that start them.</summary>
    /// <param name="namespaces">Namespaces that they enter; null for none.</param>
    /// <param name="fence">The fence; null for none.</param>
    /// <param name="kept">Capabilities that stay, of those that the process has.</param>
    /// <returns>0, or the errno value: EAGAIN if a thread did not answer. Some may be restricted even then.</returns>
    public static int Restrict(PrivateNamespaces? namespaces, FolderFence? fence, HostCapabilities kept)
    {
        lock (Gate)
        {
            ExecutableMemory page = ExecutableMemory.Map(DataLength);
            int result = Restrict(page, namespaces, fence?.Descriptor ?? -1, kept);
            if (result != ErrorNumber.TryAgain)
            {
                // Otherwise a thread may still come to the handler.
                page.Dispose();
            }

            return result;
        }
    }

    private static int Restrict(ExecutableMemory page, PrivateNamespaces? namespaces, int fence, HostCapabilities kept)
    {
        // At the page's beginning: how many have answered, and the first error.
        byte* data = page.WritePointer;
        Span<byte> all = new(data, DataLength);
        BinaryPrimitives.WriteUInt32LittleEndian(all[HeaderOffset..], CapabilityVersion);

        // Effective, permitted and inheritable: the low words, then the high ones, of which none stays.
        HostCapabilities effective = GetCapabilities() & kept;
        BinaryPrimitives.WriteUInt32LittleEndian(all[SetsOffset..], (uint)effective);
        BinaryPrimitives.WriteUInt32LittleEndian(all[(SetsOffset + 4)..], (uint)effective);
        WriteHandler(all[CodeOffset..], (ulong)data, namespaces, fence);
        Span<byte> action = stackalloc byte[ActionLength];
        Span<byte> before = stackalloc byte[ActionLength];
        action.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(action, (ulong)(page.ExecutePointer + CodeOffset));
        action.Slice(MaskOffset, MaskLength).Fill(byte.MaxValue);
        BinaryPrimitives.WriteInt32LittleEndian(action[FlagsOffset..], Restart);
        fixed (byte* p = action, old = before)
        {
            // SAFETY: struct sigaction of the C library for x86-64: the handler, 128 bytes of mask, flags, and the restorer, which the library fills in.
            if (SetAction(Signal, p, old) != 0)
            {
                return Marshal.GetLastPInvokeError();
            }
        }

        int result = Visit((int*)data);
        if (result != ErrorNumber.TryAgain)
        {
            fixed (byte* old = before)
            {
                // SAFETY: as it was.
                _ = SetAction(Signal, old, null);
            }
        }

        return result;
    }

    // Until all threads that there are have been restricted. Whoever is started by one of those is, too.
    private static int Visit(int* answers)
    {
        HashSet<int> done = [];
        int process = Environment.ProcessId;
        int sent = 0;
        for (int round = 0; round < Rounds; round++)
        {
            List<int> found = [.. Directory.EnumerateDirectories("/proc/self/task").Select(static d => int.Parse(Path.GetFileName(d), CultureInfo.InvariantCulture)).Where(t => !done.Contains(t))];
            if (found.Count == 0 && round > 0)
            {
                return -Volatile.Read(ref answers[1]);
            }

            // All at once: each has to be given a processor first.
            foreach (int thread in found)
            {
                sent += SendSignal((nint)SystemCall.Tgkill, process, thread, Signal) == 0 ? 1 : 0;
                done.Add(thread);
            }

            if (!WaitFor(answers, ref sent, found))
            {
                return ErrorNumber.TryAgain;
            }
        }

        return ErrorNumber.TryAgain;
    }

    private static bool WaitFor(int* answers, ref int expected, List<int> threads)
    {
        long end = Environment.TickCount64 + Patience;
        SpinWait spin = default;
        while (Volatile.Read(ref answers[0]) < expected)
        {
            spin.SpinOnce(sleep1Threshold: -1);
            if (Environment.TickCount64 > end)
            {
                // Those that have ended answer no more.
                int ended = threads.RemoveAll(static t => !Directory.Exists(string.Create(CultureInfo.InvariantCulture, $"/proc/self/task/{t}")));
                expected -= ended;
                if (ended == 0)
                {
                    return false;
                }
            }
        }

        return true;
    }

    private static HostCapabilities GetCapabilities()
    {
        Span<uint> memory = stackalloc uint[8];
        memory.Clear();
        memory[0] = CapabilityVersion;
        fixed (uint* p = memory)
        {
            // SAFETY: struct __user_cap_header_struct, then room for two of struct __user_cap_data_struct.
            return Capabilities((nint)SystemCall.Capget, p, p + 2) == 0 ? (HostCapabilities)memory[2] : HostCapabilities.None;
        }
    }

    // void handler(int): the calls, of which the first that fails leaves its error, and then the count. The kernel keeps RCX and R11 from nobody.
    private static void WriteHandler(Span<byte> code, ulong data, PrivateNamespaces? namespaces, int fence)
    {
        const ulong RootAndDirectory = 0x200;
        CodeWriter writer = new(code);
        writer.LoadData(data);
        if (namespaces != null)
        {
            // A thread that shares its root with others cannot have another file system than they.
            writer.Call(SystemCall.Unshare, RootAndDirectory, 0, 0);
            if (namespaces.NetworksDescriptor >= 0)
            {
                writer.Call(SystemCall.Setns, (ulong)namespaces.NetworksDescriptor, PrivateNamespaces.Networks, 0);
            }

            writer.Call(SystemCall.Setns, (ulong)namespaces.MessagesDescriptor, PrivateNamespaces.Messages, 0);
            writer.Call(SystemCall.Setns, (ulong)namespaces.MountsDescriptor, PrivateNamespaces.Mounts, 0);
        }

        writer.Call(SystemCall.Prctl, 38, 1, 0);
        if (fence >= 0)
        {
            writer.Call(SystemCall.LandlockRestrictSelf, (ulong)fence, 0, 0);
        }

        writer.Call(SystemCall.Capset, data + HeaderOffset, data + SetsOffset, 0);
        writer.Finish();
    }

    private const int ActionLength = 152;
    private const int MaskOffset = 8;
    private const int MaskLength = 128;
    private const int FlagsOffset = 136;

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    private static partial int SetAction(int signal, byte* action, byte* before);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SendSignal(nint number, nint process, nint thread, nint signal);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Capabilities(nint number, uint* header, uint* sets);

    /// <summary>Writes the handler's x86-64 instructions.</summary>
    private ref struct CodeWriter(Span<byte> code)
    {
        private readonly Span<byte> _code = code;
        private int _length;

        /// <summary>mov r9, data.</summary>
        internal void LoadData(ulong data)
        {
            Write([0x49, 0xb9]);
            Write(data);
        }

        /// <summary>Makes a call, and leaves the error at the data's second word if there is none yet.</summary>
        internal void Call(SystemCall number, ulong first, ulong second, ulong third)
        {
            Write([0x48, 0xbf]); // mov rdi, first
            Write(first);
            Write([0x48, 0xbe]); // mov rsi, second
            Write(second);
            Write([0x48, 0xba]); // mov rdx, third
            Write(third);
            Write([0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0]); // xor r10d, r10d; xor r8d, r8d
            Write([0xb8]); // mov eax, number
            Write((uint)number);
            Write([0x0f, 0x05]); // syscall
            Write([0x85, 0xc0, 0x74, 0x0a]); // test eax, eax; jz over the next three
            Write([0x89, 0xc1, 0x31, 0xc0]); // mov ecx, eax; xor eax, eax
            Write([0xf0, 0x41, 0x0f, 0xb1, 0x49, 0x04]); // lock cmpxchg [r9+4], ecx
        }

        /// <summary>lock inc dword [r9]; ret.</summary>
        internal void Finish() => Write([0xf0, 0x41, 0xff, 0x01, 0xc3]);

        private void Write(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_code[_length..]);
            _length += bytes.Length;
        }

        private void Write(ulong value)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_code[_length..], value);
            _length += sizeof(ulong);
        }

        private void Write(uint value)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_code[_length..], value);
            _length += sizeof(uint);
        }
    }
}
