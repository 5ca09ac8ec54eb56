using System.Runtime.InteropServices;
using Lamina.Interop.Events;
using Lamina.Interop.Files;
using Lamina.Interop.Memory;
using Lamina.Interop.Terminals;

namespace Lamina.Interop;

/// <summary>The C library's entry points, as it declares them.</summary>
internal static unsafe partial class NativeMethods
{
    private const string C = "libc";

    /// <summary>The number of the futex call.</summary>
    internal static readonly nint FutexCall = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 98 : 202;

    [LibraryImport(C, EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport(C, EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport(C, EntryPoint = "madvise", SetLastError = true)]
    internal static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport(C, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int CreateMemoryFile(string name, uint flags);

    [LibraryImport(C, EntryPoint = "ftruncate", SetLastError = true)]
    internal static partial int Truncate(int descriptor, long length);

    // Variadic in C; the mode is not needed, because nothing is created.
    [LibraryImport(C, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags);

    [LibraryImport(C, EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int descriptor);

    [LibraryImport(C, EntryPoint = "read", SetLastError = true)]
    internal static partial nint Read(int descriptor, byte* buffer, nuint count);

    [LibraryImport(C, EntryPoint = "write", SetLastError = true)]
    internal static partial nint Write(int descriptor, byte* buffer, nuint count);

    // Variadic in C, as ioctl.
    [LibraryImport(C, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags, int mode);

    [LibraryImport(C, EntryPoint = "open", SetLastError = true)]
    internal static partial int OpenBytes(byte* path, int flags, int mode);

    // The C library has no function for these two. Variadic in C, as ioctl.
    [LibraryImport(C, EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint OpenAt2(nint call, int directory, byte* name, ulong* how, nint length);

    [LibraryImport(C, EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint GetEntries(nint call, int directory, byte* buffer, nuint length);

    [LibraryImport(C, EntryPoint = "statx", SetLastError = true)]
    internal static partial int GetStatus(int directory, byte* path, int flags, uint mask, FileStatus* status);

    [LibraryImport(C, EntryPoint = "getrusage")]
    internal static partial int GetUsage(int who, Threading.ThreadUsage* usage);

    [LibraryImport(C, EntryPoint = "fstatfs", SetLastError = true)]
    internal static partial int GetSpace(int descriptor, SpaceStatus* status);

    [LibraryImport(C, EntryPoint = "readlinkat", SetLastError = true)]
    internal static partial nint ReadLinkAt(int directory, byte* path, byte* buffer, nuint length);

    [LibraryImport(C, EntryPoint = "symlinkat", SetLastError = true)]
    internal static partial int SymbolicLinkAt(byte* target, int directory, byte* name);

    [LibraryImport(C, EntryPoint = "mkdirat", SetLastError = true)]
    internal static partial int MakeDirectoryAt(int directory, byte* name, uint mode);

    [LibraryImport(C, EntryPoint = "mknodat", SetLastError = true)]
    internal static partial int MakeNodeAt(int directory, byte* name, uint mode, ulong device);

    [LibraryImport(C, EntryPoint = "unlinkat", SetLastError = true)]
    internal static partial int UnlinkAt(int directory, byte* name, int flags);

    [LibraryImport(C, EntryPoint = "renameat2", SetLastError = true)]
    internal static partial int RenameAt(int fromDirectory, byte* from, int toDirectory, byte* to, uint flags);

    [LibraryImport(C, EntryPoint = "linkat", SetLastError = true)]
    internal static partial int LinkAt(int fromDirectory, byte* from, int toDirectory, byte* to, int flags);

    [LibraryImport(C, EntryPoint = "chmod", SetLastError = true)]
    internal static partial int ChangeMode(byte* path, uint mode);

    [LibraryImport(C, EntryPoint = "fchownat", SetLastError = true)]
    internal static partial int ChangeOwnerAt(int directory, byte* path, uint user, uint group, int flags);

    [LibraryImport(C, EntryPoint = "truncate", SetLastError = true)]
    internal static partial int TruncatePath(byte* path, long length);

    [LibraryImport(C, EntryPoint = "utimensat", SetLastError = true)]
    internal static partial int SetTimesAt(int directory, byte* path, FileTime* times, int flags);

    [LibraryImport(C, EntryPoint = "fsync", SetLastError = true)]
    internal static partial int Synchronize(int descriptor);

    [LibraryImport(C, EntryPoint = "geteuid")]
    internal static partial uint GetUser();

    [LibraryImport(C, EntryPoint = "setsid", SetLastError = true)]
    internal static partial int BeginSession();

    [LibraryImport(C, EntryPoint = "dup2", SetLastError = true)]
    internal static partial int Duplicate(int descriptor, int target);

    [LibraryImport(C, EntryPoint = "flock", SetLastError = true)]
    internal static partial int LockFile(int descriptor, int operation);

    [LibraryImport(C, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int ControlFile(int descriptor, int command, FileLock* value);

    [LibraryImport(C, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int ControlFile(int descriptor, int command, long value);

    [LibraryImport(C, EntryPoint = "socketpair", SetLastError = true)]
    internal static partial int SocketPair(int family, int type, int protocol, int* pair);

    [LibraryImport(C, EntryPoint = "socket", SetLastError = true)]
    internal static partial int Socket(int family, int type, int protocol);

    [LibraryImport(C, EntryPoint = "bind", SetLastError = true)]
    internal static partial int Bind(int socket, byte* address, uint length);

    [LibraryImport(C, EntryPoint = "listen", SetLastError = true)]
    internal static partial int Listen(int socket, int backlog);

    [LibraryImport(C, EntryPoint = "accept4", SetLastError = true)]
    internal static partial int Accept(int socket, byte* address, uint* length, int flags);

    [LibraryImport(C, EntryPoint = "connect", SetLastError = true)]
    internal static partial int Connect(int socket, byte* address, uint length);

    [LibraryImport(C, EntryPoint = "shutdown", SetLastError = true)]
    internal static partial int ShutDown(int socket, int how);

    [LibraryImport(C, EntryPoint = "readv", SetLastError = true)]
    internal static partial nint ReadVectorStream(int descriptor, IoVector* vectors, int count);

    [LibraryImport(C, EntryPoint = "writev", SetLastError = true)]
    internal static partial nint WriteVectorStream(int descriptor, IoVector* vectors, int count);

    [LibraryImport(C, EntryPoint = "copy_file_range", SetLastError = true)]
    internal static partial nint CopyRange(int source, long* sourceOffset, int target, long* targetOffset, nuint length, uint flags);

    [LibraryImport(C, EntryPoint = "getrandom", SetLastError = true)]
    internal static partial nint GetRandom(byte* buffer, nuint length, uint flags);

    [LibraryImport(C, EntryPoint = "lseek", SetLastError = true)]
    internal static partial long Seek(int descriptor, long offset, int origin);

    [LibraryImport(C, EntryPoint = "fdatasync", SetLastError = true)]
    internal static partial int SynchronizeData(int descriptor);

    [LibraryImport(C, EntryPoint = "fallocate", SetLastError = true)]
    internal static partial int Allocate(int descriptor, int mode, long offset, long length);

    [LibraryImport(C, EntryPoint = "preadv", SetLastError = true)]
    internal static partial nint ReadVector(int descriptor, IoVector* vectors, int count, long offset);

    [LibraryImport(C, EntryPoint = "pwritev", SetLastError = true)]
    internal static partial nint WriteVector(int descriptor, IoVector* vectors, int count, long offset);

    [LibraryImport(C, EntryPoint = "preadv2", SetLastError = true)]
    internal static partial nint ReadVectorNow(int descriptor, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport(C, EntryPoint = "pwritev2", SetLastError = true)]
    internal static partial nint WriteVectorNow(int descriptor, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport(C, EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int CreateEvent(uint value, int flags);

    [LibraryImport(C, EntryPoint = "timerfd_create", SetLastError = true)]
    internal static partial int CreateTimer(int clock, int flags);

    [LibraryImport(C, EntryPoint = "timerfd_settime", SetLastError = true)]
    internal static partial int SetTimer(int descriptor, int flags, TimerSetting* value, TimerSetting* old);

    [LibraryImport(C, EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int CreatePoll(int flags);

    [LibraryImport(C, EntryPoint = "epoll_ctl", SetLastError = true)]
    internal static partial int ControlPoll(int poll, int operation, int descriptor, PollEvent* value);

    [LibraryImport(C, EntryPoint = "epoll_wait", SetLastError = true)]
    internal static partial int WaitPoll(int poll, PollEvent* events, int capacity, int timeout);

    [LibraryImport(C, EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollDescriptor* descriptors, ulong count, int timeout);

    [LibraryImport(C, EntryPoint = "isatty", SetLastError = true)]
    internal static partial int IsTerminal(int descriptor);

    [LibraryImport(C, EntryPoint = "tcgetattr", SetLastError = true)]
    internal static partial int GetTerminal(int descriptor, TerminalAttributes* attributes);

    [LibraryImport(C, EntryPoint = "tcsetattr", SetLastError = true)]
    internal static partial int SetTerminal(int descriptor, int when, TerminalAttributes* attributes);

    [LibraryImport(C, EntryPoint = "cfmakeraw")]
    internal static partial void MakeRaw(TerminalAttributes* attributes);

    // Variadic in C. The x86-64 and AArch64 Linux conventions pass these arguments alike.
    [LibraryImport(C, EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Control(int descriptor, nuint request, void* argument);

    [LibraryImport(C, EntryPoint = "sysinfo", SetLastError = true)]
    internal static partial int GetSystemInformation(HostMemory.SystemInformation* information);

    // The C library has no function for it. Variadic in C, as ioctl.
    [LibraryImport(C, EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint Futex(nint call, int* word, int operation, int value, long* timeout, int* second, int third);
}
