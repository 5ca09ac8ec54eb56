namespace Lamina.Interop.Networks;

/// <summary>Two connected sockets of this host: one for this process, which never blocks, and one for a program that it starts.</summary>
public sealed unsafe class StreamPair : IDisposable
{
    private const int UnixFamily = 1;
    private const int Stream = 1;
    private const int CloseOnExec = 0x80000;
    private const int SetDescriptorFlags = 2;
    private const int SetStatusFlags = 4;
    private const int NonBlocking = 0x800;
    private int _other;

    /// <summary>Makes them.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public StreamPair()
    {
        int* pair = stackalloc int[2];
        // SAFETY: the kernel writes two integers.
        if (NativeMethods.SocketPair(UnixFamily, Stream | CloseOnExec, 0, pair) != 0)
        {
            throw SystemCallException.FromLastError("socketpair");
        }

        Own = new OwnedDescriptor(pair[0]);
        _other = pair[1];
        _ = NativeMethods.ControlFile(pair[0], SetStatusFlags, NonBlocking);
    }

    /// <summary>This process's end.</summary>
    public OwnedDescriptor Own { get; }

    /// <summary>The other end's number, which programs started from now on inherit.</summary>
    public int ShareOther()
    {
        _ = NativeMethods.ControlFile(_other, SetDescriptorFlags, 0);
        return _other;
    }

    /// <summary>Closes the other end here, once the program has it.</summary>
    public void CloseOther()
    {
        if (_other >= 0)
        {
            _ = NativeMethods.Close(_other);
            _other = -1;
        }
    }

    /// <summary>Closes the other end; one's own is closed by whoever took it.</summary>
    public void Dispose() => CloseOther();
}
