namespace Lamina.Interop;

/// <summary>The errno values that callers tell apart (Linux, asm-generic/errno.h).</summary>
public static class ErrorNumber
{
    /// <summary>EINTR.</summary>
    public const int Interrupted = 4;

    /// <summary>EIO.</summary>
    public const int InputOutput = 5;

    /// <summary>EAGAIN, EWOULDBLOCK.</summary>
    public const int TryAgain = 11;

    /// <summary>ENOMEM.</summary>
    public const int OutOfMemory = 12;

    /// <summary>EPIPE.</summary>
    public const int BrokenPipe = 32;
}
