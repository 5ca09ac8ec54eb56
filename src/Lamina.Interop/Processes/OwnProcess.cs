using Lamina.Interop.Files;

namespace Lamina.Interop.Processes;

/// <summary>This process: whose it is, its session, and where its standard streams lead.</summary>
public static unsafe class OwnProcess
{
    private const int ReadWrite = 0x2;
    private const int Create = 0x40;
    private const int Append = 0x400;
    private const int CloseOnExec = 0x80000;
    private const int OwnerOnly = 0x180;
    private const int CurrentDirectory = -100;
    private const int NotFollowingLinks = 0x100;
    private const uint Basics = 0x7ff;
    private const ushort OthersBits = 0x3f;

    /// <summary>The user that it acts for.</summary>
    public static uint User => NativeMethods.GetUser();

    /// <summary>Leaves the terminal: the process becomes the leader of a session of its own. Nothing happens if it leads its group already.</summary>
    public static void BeginSession() => _ = NativeMethods.BeginSession();

    /// <summary>Has a standard stream lead to a file from now on, which is made if it is not there, and appended to.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static void Redirect(int descriptor, string path)
    {
        int file = NativeMethods.Open(path, ReadWrite | Create | Append | CloseOnExec, OwnerOnly);
        if (file < 0)
        {
            throw SystemCallException.FromLastError($"open {path}");
        }

        // The new descriptor does not close on exec, as standard streams do not.
        bool done = NativeMethods.Duplicate(file, descriptor) >= 0;
        SystemCallException? failure = done ? null : SystemCallException.FromLastError("dup2");
        _ = NativeMethods.Close(file);
        if (failure != null)
        {
            throw failure;
        }
    }

    /// <summary>Whether a path names a directory of this user, and not a link to one.</summary>
    /// <param name="path">The path.</param>
    /// <param name="alone">Whether nobody else may look into it or change it.</param>
    public static bool OwnsDirectory(string path, bool alone)
    {
        FileStatus status;
        byte[] name = [.. System.Text.Encoding.UTF8.GetBytes(path), 0];
        fixed (byte* p = name)
        {
            // SAFETY: the path ends with a zero, and the structure has the layout and size of struct statx.
            return NativeMethods.GetStatus(CurrentDirectory, p, NotFollowingLinks, Basics, &status) == 0
                && status.Type == FileStatus.DirectoryType && status.User == User && (!alone || (status.Mode & OthersBits) == 0);
        }
    }
}
