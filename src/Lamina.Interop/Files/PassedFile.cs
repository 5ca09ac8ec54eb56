using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary>
/// A file, device or socket that one process opens and another uses: what a process opens by a path for somebody else, or has been given. It holds the descriptor until somebody takes it.
/// Unlike <see cref="BlockFile"/> it takes no locks with it when it is closed, as those belong to whoever has the same open file.
/// </summary>
public sealed class PassedFile : IDisposable
{
    private const int ReadWrite = 0x2;
    private const int Create = 0x40;
    private const int Exclusive = 0x80;
    private const int CloseOnExec = 0x80000;
    private const int CreationMode = 0b110_000_000;
    private static readonly int Direct = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    /// <summary>Holds a descriptor.</summary>
    public PassedFile(int descriptor, string path)
    {
        Number = descriptor;
        Path = path;
    }

    /// <summary>The name by which it is known.</summary>
    public string Path { get; }

    /// <summary>The descriptor; -1 when it was taken or closed.</summary>
    public int Number { get; private set; }

    /// <summary>Opens a file that exists.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static PassedFile Open(string path, bool writable, bool direct) => Open(path, (writable ? ReadWrite : 0) | (direct ? Direct : 0));

    /// <summary>Makes a new file, for its user alone.</summary>
    /// <exception cref="SystemCallException">The host refuses, or there is one of that name.</exception>
    public static PassedFile CreateNew(string path) => Open(path, ReadWrite | Create | Exclusive);

    /// <summary>Takes the descriptor, which the caller closes.</summary>
    public int Take()
    {
        int number = Number;
        Number = -1;
        return number;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        int number = Take();
        if (number >= 0)
        {
            _ = NativeMethods.Close(number);
        }
    }

    private static PassedFile Open(string path, int flags)
    {
        int descriptor = NativeMethods.Open(path, flags | CloseOnExec, CreationMode);
        return descriptor >= 0 ? new PassedFile(descriptor, path) : throw SystemCallException.FromLastError("open");
    }
}
