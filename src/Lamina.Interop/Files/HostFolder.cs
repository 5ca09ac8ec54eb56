namespace Lamina.Interop.Files;

/// <summary>Directories of the host.</summary>
public static unsafe class HostFolder
{
    private const int DirectoryOnly = 0x10000;
    private const int CloseOnExec = 0x80000;
    private const int CurrentDirectory = -100;
    private const uint OwnerOnly = 0x1c0;

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
