using Microsoft.Win32.SafeHandles;

namespace Lamina.Interop.Files;

/// <summary>Directories of the host.</summary>
public static unsafe class HostFolder
{
    private const int DirectoryOnly = 0x10000;
    private const int CloseOnExec = 0x80000;
    private const int CurrentDirectory = -100;
    private const uint OwnerOnly = 0x1c0;
    private const int ExclusiveLock = 2;
    private const int NoWait = 4;

    /// <summary>Makes a directory that is this user's alone.</summary>
    /// <exception cref="SystemCallException">The host refuses, or there is something of that name.</exception>
    public static void CreatePrivate(string path)
    {
        byte[] name = [.. System.Text.Encoding.UTF8.GetBytes(path), 0];
        fixed (byte* p = name)
        {
            // SAFETY: the path ends with a zero.
            if (NativeMethods.MakeDirectoryAt(CurrentDirectory, p, OwnerOnly) != 0)
            {
                throw SystemCallException.FromLastError("mkdir");
            }
        }
    }

    /// <summary>Takes the lock of a directory (flock), which is given back when the handle is closed, or its process ends.</summary>
    /// <returns>null if somebody else has it, or the directory is not there any more.</returns>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static SafeFileHandle? TryLock(string path)
    {
        int directory = NativeMethods.Open(path, DirectoryOnly | CloseOnExec, 0);
        if (directory < 0)
        {
            SystemCallException failure = SystemCallException.FromLastError($"open {path}");
            return failure.ErrorNumber == ErrorNumber.NoEntry ? null : throw failure;
        }

        SafeFileHandle held = new(directory, ownsHandle: true);
        if (NativeMethods.LockFile(directory, ExclusiveLock | NoWait) != 0)
        {
            SystemCallException failure = SystemCallException.FromLastError("flock");
            held.Dispose();
            return failure.ErrorNumber == ErrorNumber.TryAgain ? null : throw failure;
        }

        // Who had it before may have removed the directory.
        if (Directory.Exists(path))
        {
            return held;
        }

        held.Dispose();
        return null;
    }

    /// <summary>Makes durable which names are in a directory.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static void Synchronize(string path)
    {
        int directory = NativeMethods.Open(path, DirectoryOnly | CloseOnExec, 0);
        if (directory < 0)
        {
            throw SystemCallException.FromLastError($"open {path}");
        }

        SystemCallException? failure = NativeMethods.Synchronize(directory) == 0 ? null : SystemCallException.FromLastError("fsync");
        _ = NativeMethods.Close(directory);
        if (failure != null)
        {
            throw failure;
        }
    }
}
