using Microsoft.Win32.SafeHandles;

namespace Lamina.Interop.Files;

/// <summary>Files of unknown origin: what is no regular file is refused, and nobody waits for whoever would write into a pipe.</summary>
public static class PlainFile
{
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;

    /// <summary>Opens a regular file for reading.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    /// <exception cref="IOException">It is no regular file.</exception>
    public static SafeFileHandle OpenRead(string path)
    {
        int descriptor = NativeMethods.Open(path, NonBlocking | CloseOnExec, 0);
        if (descriptor < 0)
        {
            throw SystemCallException.FromLastError("open");
        }

        SafeFileHandle file = new(descriptor, ownsHandle: true);
        int error = FolderCalls.GetStatus(descriptor, out FileStatus status);
        if (error == 0 && status.Type == FileStatus.RegularType)
        {
            return file;
        }

        file.Dispose();
        throw error != 0 ? new SystemCallException("statx", error) : new IOException("it is no regular file");
    }

    /// <summary>Another handle of the same open file.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static SafeFileHandle Duplicate(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return new SafeFileHandle(BlockFile.Duplicate((int)file.DangerousGetHandle()), ownsHandle: true);
    }
}
