using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary>
/// Calls on files below an open directory. A name is one component, as bytes with a zero at its end; symbolic links are never followed. Files are held by descriptors that only say which
/// file is meant (O_PATH). Answers are 0 or an errno value.
/// </summary>
public static unsafe class FolderCalls
{
    private const int ReadWriteMask = 0x3;
    private const int PathOnly = 0x20_0000;
    private const int NoFollow = 0x2_0000;
    private const int DirectoryOnly = 0x1_0000;
    private const int CloseOnExec = 0x8_0000;
    private const int Create = 0x40;
    private const int Exclusive = 0x80;
    private const int Truncate = 0x200;
    private const int Append = 0x400;
    private const int NonBlocking = 0x800;
    private const int EmptyPath = 0x1000;
    private const int SymbolicLinkNoFollow = 0x100;
    private const int SymbolicLinkFollow = 0x400;
    private const int RemoveDirectoryFlag = 0x200;
    private const uint BasicStatus = 0x7ff;
    private const ulong ResolveBeneath = 0x08;
    private const ulong ResolveNoSymbolicLinks = 0x04;
    private const int SeekSet = 0;
    private const int GetFlagsCommand = 3;
    private const nint OpenAt2Call = 437;
    private static readonly nint GetEntriesCall = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 61 : 217;

    /// <summary>Opens a directory of the host by its path, to hold it.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static int OpenRoot(string path)
    {
        int descriptor = NativeMethods.Open(path, PathOnly | DirectoryOnly | CloseOnExec, 0);
        return descriptor >= 0 ? descriptor : throw SystemCallException.FromLastError("open");
    }

    /// <summary>Holds the file of a name in a directory.</summary>
    public static int Hold(int directory, ReadOnlySpan<byte> name, out int error) => OpenBelow(directory, name, PathOnly | NoFollow, 0, out error);

    /// <summary>Holds the file of a path below a directory, no component of which may be a symbolic link, but the last: then that link is held.</summary>
    public static int HoldBelow(int directory, ReadOnlySpan<byte> path, out int error) => OpenBelow(directory, path, PathOnly | NoFollow, ResolveNoSymbolicLinks, 0, out error);

    /// <summary>The path by which the host knows an open file now; of one without a name, that which it had, and " (deleted)".</summary>
    /// <returns>Its length; negative if there is none.</returns>
    public static int FindPath(int open, Span<byte> path, out int error)
    {
        Span<byte> link = stackalloc byte[32];
        WritePath(link, open);
        // SAFETY: the link's name ends in a zero, and the length is the buffer's.
        fixed (byte* name = link)
        fixed (byte* target = path)
        {
            nint length = NativeMethods.ReadLinkAt(-1, name, target, (nuint)path.Length);
            error = length < 0 ? Marshal.GetLastPInvokeError() : 0;
            return (int)length;
        }
    }

    /// <summary>Whether an open file may be read, written, or both: the two low bits of the flags of open(2).</summary>
    public static int GetAccess(int open) => NativeMethods.ControlFile(open, GetFlagsCommand, 0L) & ReadWriteMask;

    /// <summary>Makes and opens a regular file.</summary>
    public static int CreateFile(int directory, ReadOnlySpan<byte> name, int flags, uint mode, out int error)
    {
        return OpenBelow(directory, name, (flags & (ReadWriteMask | Exclusive | Truncate)) | Create | NoFollow | NonBlocking, mode & 0xfff, out error);
    }

    /// <summary>Opens a held file for reading or writing. Only for regular files and directories.</summary>
    public static int Reopen(int held, int flags, bool directory, out int error)
    {
        Span<byte> path = stackalloc byte[32];
        WritePath(path, held);
        // SAFETY: the path ends in a zero.
        fixed (byte* p = path)
        {
            int wanted = directory ? DirectoryOnly : flags & (ReadWriteMask | Truncate) & ~Append;
            int descriptor = NativeMethods.OpenBytes(p, wanted | CloseOnExec | NonBlocking, 0);
            error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
            return descriptor;
        }
    }

    /// <summary>Whether this process may give files to others.</summary>
    public static bool IsRoot => NativeMethods.GetUser() == 0;

    /// <summary>Closes a descriptor.</summary>
    public static void Close(int descriptor) => _ = NativeMethods.Close(descriptor);

    /// <summary>Describes a held or open file.</summary>
    public static int GetStatus(int held, out FileStatus status)
    {
        byte empty = 0;
        // SAFETY: an empty path, and a structure of 256 bytes.
        fixed (FileStatus* p = &status)
        {
            return Result(NativeMethods.GetStatus(held, &empty, EmptyPath | SymbolicLinkNoFollow, BasicStatus, p));
        }
    }

    /// <summary>Describes the file system of a held file.</summary>
    public static int GetSpace(int held, out SpaceStatus status)
    {
        // SAFETY: a structure of 120 bytes.
        fixed (SpaceStatus* p = &status)
        {
            return Result(NativeMethods.GetSpace(held, p));
        }
    }

    /// <summary>Reads where a held symbolic link leads.</summary>
    /// <returns>The number of bytes, or -1.</returns>
    public static int ReadLink(int held, Span<byte> target, out int error)
    {
        byte empty = 0;
        // SAFETY: an empty path; the kernel writes at most what there is room for.
        fixed (byte* p = target)
        {
            nint count = NativeMethods.ReadLinkAt(held, &empty, p, (nuint)target.Length);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            return (int)count;
        }
    }

    /// <summary>Makes a symbolic link.</summary>
    public static int MakeLink(ReadOnlySpan<byte> target, int directory, ReadOnlySpan<byte> name)
    {
        // SAFETY: both end in a zero.
        fixed (byte* t = target)
        fixed (byte* n = name)
        {
            return Result(NativeMethods.SymbolicLinkAt(t, directory, n));
        }
    }

    /// <summary>Makes a directory.</summary>
    public static int MakeDirectory(int directory, ReadOnlySpan<byte> name, uint mode)
    {
        // SAFETY: the name ends in a zero.
        fixed (byte* n = name)
        {
            return Result(NativeMethods.MakeDirectoryAt(directory, n, mode & 0xfff));
        }
    }

    /// <summary>Makes a regular file, pipe or socket.</summary>
    public static int MakeNode(int directory, ReadOnlySpan<byte> name, uint mode)
    {
        // SAFETY: the name ends in a zero.
        fixed (byte* n = name)
        {
            return Result(NativeMethods.MakeNodeAt(directory, n, mode, 0));
        }
    }

    /// <summary>Removes a name.</summary>
    public static int Remove(int directory, ReadOnlySpan<byte> name, bool isDirectory)
    {
        // SAFETY: the name ends in a zero.
        fixed (byte* n = name)
        {
            return Result(NativeMethods.UnlinkAt(directory, n, isDirectory ? RemoveDirectoryFlag : 0));
        }
    }

    /// <summary>Renames; the flags are those of renameat2.</summary>
    public static int Rename(int fromDirectory, ReadOnlySpan<byte> from, int toDirectory, ReadOnlySpan<byte> to, uint flags)
    {
        // SAFETY: both end in a zero.
        fixed (byte* f = from)
        fixed (byte* t = to)
        {
            return Result(NativeMethods.RenameAt(fromDirectory, f, toDirectory, t, flags));
        }
    }

    /// <summary>Gives a held file another name.</summary>
    public static int Link(int held, int directory, ReadOnlySpan<byte> name)
    {
        Span<byte> path = stackalloc byte[32];
        WritePath(path, held);
        // SAFETY: both end in a zero.
        fixed (byte* p = path)
        fixed (byte* n = name)
        {
            return Result(NativeMethods.LinkAt(-100, p, directory, n, SymbolicLinkFollow));
        }
    }

    /// <summary>Changes the permissions of a held file, which is no symbolic link.</summary>
    public static int SetMode(int held, uint mode)
    {
        Span<byte> path = stackalloc byte[32];
        WritePath(path, held);
        // SAFETY: the path ends in a zero.
        fixed (byte* p = path)
        {
            return Result(NativeMethods.ChangeMode(p, mode & 0xfff));
        }
    }

    /// <summary>Changes owner and group of a held file; <see cref="uint.MaxValue"/> leaves one.</summary>
    public static int SetOwner(int held, uint user, uint group)
    {
        byte empty = 0;
        // SAFETY: an empty path.
        return Result(NativeMethods.ChangeOwnerAt(held, &empty, user, group, EmptyPath | SymbolicLinkNoFollow));
    }

    /// <summary>Changes the length of a held regular file.</summary>
    public static int SetLength(int held, ulong length)
    {
        Span<byte> path = stackalloc byte[32];
        WritePath(path, held);
        // SAFETY: the path ends in a zero.
        fixed (byte* p = path)
        {
            return Result(NativeMethods.TruncatePath(p, (long)length));
        }
    }

    /// <summary>Changes the times of a held file.</summary>
    public static int SetTimes(int held, FileTime access, FileTime modification)
    {
        Span<byte> path = stackalloc byte[32];
        WritePath(path, held);
        FileTime* times = stackalloc FileTime[2];
        times[0] = access;
        times[1] = modification;
        // SAFETY: the path ends in a zero; two structures of the layout of struct timespec.
        fixed (byte* p = path)
        {
            return Result(NativeMethods.SetTimesAt(-100, p, times, 0));
        }
    }

    /// <summary>Reads entries of an open directory (struct linux_dirent64) from a position on.</summary>
    /// <returns>Bytes, 0 at the end, or -1.</returns>
    public static int ReadEntries(int directory, ulong position, Span<byte> buffer, out int error)
    {
        if (NativeMethods.Seek(directory, (long)position, SeekSet) < 0)
        {
            error = Marshal.GetLastPInvokeError();
            return -1;
        }

        // SAFETY: the kernel writes at most what there is room for.
        fixed (byte* p = buffer)
        {
            nint count = NativeMethods.GetEntries(GetEntriesCall, directory, p, (nuint)buffer.Length);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            return (int)count;
        }
    }

    /// <summary>Makes an open file durable.</summary>
    public static int Synchronize(int open, bool dataOnly) => Result(dataOnly ? NativeMethods.SynchronizeData(open) : NativeMethods.Synchronize(open));

    /// <summary>Allocates or gives back space of an open file.</summary>
    public static int Allocate(int open, int mode, ulong offset, ulong length) => Result(NativeMethods.Allocate(open, mode, (long)offset, (long)length));

    /// <summary>Finds data or a hole in an open file.</summary>
    /// <returns>Where it is, or -1.</returns>
    public static long Seek(int open, ulong offset, int whence, out int error)
    {
        long position = NativeMethods.Seek(open, (long)offset, whence);
        error = position < 0 ? Marshal.GetLastPInvokeError() : 0;
        return position;
    }

    /// <summary>Reads from an open file.</summary>
    /// <returns>Bytes, or -1.</returns>
    public static long Read(int open, ulong offset, ReadOnlySpan<IoVector> buffers, out int error)
    {
        // SAFETY: the caller vouches for the memory that the vectors name.
        fixed (IoVector* p = buffers)
        {
            nint count = NativeMethods.ReadVector(open, p, buffers.Length, (long)offset);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            return count;
        }
    }

    /// <summary>Writes to an open file.</summary>
    /// <returns>Bytes, or -1.</returns>
    public static long Write(int open, ulong offset, ReadOnlySpan<IoVector> buffers, out int error)
    {
        // SAFETY: the caller vouches for the memory that the vectors name.
        fixed (IoVector* p = buffers)
        {
            nint count = NativeMethods.WriteVector(open, p, buffers.Length, (long)offset);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            return count;
        }
    }

    private static int OpenBelow(int directory, ReadOnlySpan<byte> name, int flags, uint mode, out int error) =>
        OpenBelow(directory, name, flags, (flags & PathOnly) != 0 ? 0 : ResolveNoSymbolicLinks, mode, out error);

    private static int OpenBelow(int directory, ReadOnlySpan<byte> name, int flags, ulong resolution, uint mode, out int error)
    {
        ulong* how = stackalloc ulong[3];
        how[0] = (ulong)(uint)(flags | CloseOnExec);
        how[1] = mode;
        how[2] = ResolveBeneath | resolution;
        // SAFETY: the name ends in a zero; struct open_how is three 64-bit fields.
        fixed (byte* n = name)
        {
            nint descriptor = NativeMethods.OpenAt2(OpenAt2Call, directory, n, how, 24);
            error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
            return (int)descriptor;
        }
    }

    private static int Result(int value) => value == 0 ? 0 : Marshal.GetLastPInvokeError();

    // "/proc/self/fd/N": the way to open, link or change a held file by its path.
    private static void WritePath(Span<byte> path, int held)
    {
        "/proc/self/fd/"u8.CopyTo(path);
        System.Buffers.Text.Utf8Formatter.TryFormat(held, path[14..], out int written);
        path[14 + written] = 0;
    }
}
