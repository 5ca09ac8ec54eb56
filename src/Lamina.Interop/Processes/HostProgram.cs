using System.Runtime.InteropServices;
using System.Text;
using Lamina.Interop.Networks;

namespace Lamina.Interop.Processes;

/// <summary>
/// A program of the host that this process has started, without input and output. What it says on its error stream is kept, as far as a pipe holds it. In place of
/// <see cref="System.Diagnostics.Process"/>, whose threads and tables take longer to make than a machine to restore. One thread at a time.
/// </summary>
public sealed unsafe partial class HostProgram : IDisposable
{
    private const string C = "libc";
    private const int NoHang = 1;
    private const int KillSignal = 9;
    private const int BrokenPipe = 13;
    private const int ReadWrite = 2;
    private const int CloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const short SetSignalMask = 8;
    private const short SetSignalDefaults = 4;

    // Each more than glibc's and musl's posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t.
    private const int ActionsLength = 128;
    private const int AttributesLength = 512;
    private const int SignalSetLength = 128;
    private const int LongestMessage = 4096;
    private readonly OwnedDescriptor _messages;
    private readonly int _process;
    private int? _status;

    private HostProgram(int process, OwnedDescriptor messages)
    {
        _process = process;
        _messages = messages;
    }

    /// <summary>Starts a program. It has the descriptors of this process that do not close on exec, and signals do to it what they do by default: those that this process handles by themselves, and the one that .NET ignores.</summary>
    /// <param name="name">Its file, which is looked for as PATH says.</param>
    /// <param name="arguments">Its arguments, without its name.</param>
    /// <exception cref="SystemCallException">It cannot be started: it is not there, or the host refuses.</exception>
    public static HostProgram Start(string name, IReadOnlyList<string> arguments)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        int* ends = stackalloc int[2];
        // SAFETY: the kernel writes two integers. The ends do not block: what a program says that nobody reads is lost, and does not stop it.
        if (CreatePipe(ends, CloseOnExec | NonBlocking) != 0)
        {
            throw SystemCallException.FromLastError("pipe2");
        }

        OwnedDescriptor messages = new(ends[0]);
        byte[][] texts = [Encode(name), .. arguments.Select(Encode)];
        GCHandle[] pins = [.. texts.Select(static t => GCHandle.Alloc(t, GCHandleType.Pinned))];
        nint[] pointers = [.. pins.Select(static p => p.AddrOfPinnedObject()), 0];
        int error = Spawn((byte*)pointers[0], pointers, ends[1], out int process);
        foreach (GCHandle pin in pins)
        {
            pin.Free();
        }

        _ = NativeMethods.Close(ends[1]);
        if (error != 0)
        {
            messages.Dispose();
            throw new SystemCallException($"start {name}", error);
        }

        return new HostProgram(process, messages);
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit status; 128 and the signal's number if a signal ended it.</returns>
    public int WaitForExit()
    {
        _ = TryReap(0);
        return _status ?? 0;
    }

    /// <summary>Its exit status as by <see cref="WaitForExit"/>; null while it runs.</summary>
    public int? FindStatus()
    {
        _ = TryReap(NoHang);
        return _status;
    }

    /// <summary>What it has said on its error stream since it was asked last: its last 4 KiB at most.</summary>
    public string ReadMessages()
    {
        byte[] buffer = new byte[LongestMessage];
        int length = 0;
        while (true)
        {
            if (length == buffer.Length)
            {
                // The second half counts more than the first.
                buffer.AsSpan(length / 2).CopyTo(buffer);
                length /= 2;
            }

            int count = _messages.Read(buffer.AsSpan(length), out _);
            if (count <= 0)
            {
                return Encoding.UTF8.GetString(buffer, 0, length);
            }

            length += count;
        }
    }

    /// <summary>Ends it, if it has not ended and this process may.</summary>
    public void Dispose()
    {
        if (!TryReap(NoHang) && Kill(_process, KillSignal) == 0)
        {
            _ = TryReap(0);
        }

        _messages.Dispose();
    }

    private static byte[] Encode(string text) => [.. Encoding.UTF8.GetBytes(text), 0];

    private static int Spawn(byte* name, nint[] arguments, int errors, out int process)
    {
        byte* actions = stackalloc byte[ActionsLength];
        byte* attributes = stackalloc byte[AttributesLength];
        byte* signals = stackalloc byte[SignalSetLength];
        Span<byte> set = new(signals, SignalSetLength);
        int started = 0;

        // SAFETY: the structures are larger than those of the C library, which alone looks into them; they, and the strings that the caller has pinned, live until it returns.
        _ = InitializeActions(actions);
        _ = InitializeAttributes(attributes);
        set.Clear();
        _ = SetMask(attributes, signals);
        set[(BrokenPipe - 1) / 8] = 1 << ((BrokenPipe - 1) % 8);
        _ = SetDefaults(attributes, signals);
        _ = SetFlags(attributes, SetSignalMask | SetSignalDefaults);
        int result;
        fixed (nint* list = arguments)
        fixed (byte* none = "/dev/null\0"u8)
        {
            nint environment = *(nint*)NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "environ");
            result = AddOpen(actions, Descriptor.StandardInput, none, ReadWrite, 0);
            result = result != 0 ? result : AddDuplicate(actions, Descriptor.StandardInput, Descriptor.StandardOutput);
            result = result != 0 ? result : AddDuplicate(actions, errors, Descriptor.StandardError);
            result = result != 0 ? result : SpawnByPath(&started, name, actions, attributes, list, environment);
        }

        _ = DestroyActions(actions);
        _ = DestroyAttributes(attributes);
        process = started;
        return result;
    }

    // Whether it has ended.
    private bool TryReap(int options)
    {
        while (_status == null)
        {
            int status;
            // SAFETY: the kernel writes an integer.
            int reaped = WaitForProcess(_process, &status, options);
            if (reaped == _process)
            {
                _status = (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
            }
            else if (reaped == 0)
            {
                return false;
            }
            else if (Marshal.GetLastPInvokeError() != ErrorNumber.Interrupted)
            {
                // Somebody else has waited for it.
                _status = 0;
            }
        }

        return true;
    }

    [LibraryImport(C, EntryPoint = "pipe2", SetLastError = true)]
    private static partial int CreatePipe(int* ends, int flags);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int InitializeActions(byte* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int DestroyActions(byte* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_addopen")]
    private static partial int AddOpen(byte* actions, int descriptor, byte* path, int flags, uint mode);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int AddDuplicate(byte* actions, int from, int to);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_init")]
    private static partial int InitializeAttributes(byte* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_destroy")]
    private static partial int DestroyAttributes(byte* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setflags")]
    private static partial int SetFlags(byte* attributes, short flags);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigmask")]
    private static partial int SetMask(byte* attributes, byte* signals);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigdefault")]
    private static partial int SetDefaults(byte* attributes, byte* signals);

    [LibraryImport(C, EntryPoint = "posix_spawnp")]
    private static partial int SpawnByPath(int* process, byte* name, byte* actions, byte* attributes, nint* arguments, nint environment);

    [LibraryImport(C, EntryPoint = "waitpid", SetLastError = true)]
    private static partial int WaitForProcess(int process, int* status, int options);

    [LibraryImport(C, EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
