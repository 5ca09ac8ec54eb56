using System.Runtime.InteropServices;

namespace Lamina.Interop.Memory;

/// <summary>A nameless file in memory (memfd) that can be mapped several times and handed to another process.</summary>
public sealed class MemoryFile : SafeHandle
{
    private const uint CloseOnExec = 1;

    private MemoryFile(int descriptor, ulong length)
        : base(-1, ownsHandle: true)
    {
        SetHandle(descriptor);
        Length = length;
    }

    /// <summary>Its length in bytes.</summary>
    public ulong Length { get; }

    /// <summary>Its file descriptor.</summary>
    public int Descriptor => (int)handle;

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>Makes one, filled with zeroes that take no memory yet.</summary>
    /// <param name="name">What the host's process listings show.</param>
    /// <param name="length">Length in bytes.</param>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static MemoryFile Create(string name, ulong length)
    {
        int descriptor = NativeMethods.CreateMemoryFile(name, CloseOnExec);
        if (descriptor < 0)
        {
            throw SystemCallException.FromLastError("memfd_create");
        }

        MemoryFile file = new(descriptor, length);
        if (length > long.MaxValue || NativeMethods.Truncate(descriptor, (long)length) != 0)
        {
            SystemCallException failure = SystemCallException.FromLastError("ftruncate");
            file.Dispose();
            throw failure;
        }

        return file;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;
}
