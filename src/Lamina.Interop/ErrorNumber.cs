namespace Lamina.Interop;

/// <summary>The errno values that callers tell apart (Linux, asm-generic/errno.h).</summary>
public static class ErrorNumber
{
    /// <summary>EPERM.</summary>
    public const int NotPermitted = 1;

    /// <summary>ENOENT.</summary>
    public const int NoEntry = 2;

    /// <summary>EINTR.</summary>
    public const int Interrupted = 4;

    /// <summary>EIO.</summary>
    public const int InputOutput = 5;

    /// <summary>ENXIO.</summary>
    public const int NoSuchDevice = 6;

    /// <summary>EBADF.</summary>
    public const int BadDescriptor = 9;

    /// <summary>EAGAIN, EWOULDBLOCK.</summary>
    public const int TryAgain = 11;

    /// <summary>ENOMEM.</summary>
    public const int OutOfMemory = 12;

    /// <summary>EACCES.</summary>
    public const int AccessDenied = 13;

    /// <summary>EFAULT.</summary>
    public const int BadAddress = 14;

    /// <summary>EBUSY.</summary>
    public const int Busy = 16;

    /// <summary>ENOTDIR.</summary>
    public const int NotDirectory = 20;

    /// <summary>EXDEV.</summary>
    public const int CrossDevice = 18;

    /// <summary>EINVAL.</summary>
    public const int InvalidArgument = 22;

    /// <summary>ENOLCK.</summary>
    public const int NoLocks = 37;

    /// <summary>ENAMETOOLONG: a name has no place.</summary>
    public const int NameTooLong = 36;

    /// <summary>ENOSPC.</summary>
    public const int NoSpace = 28;

    /// <summary>EMFILE.</summary>
    public const int TooManyFiles = 24;

    /// <summary>ENFILE.</summary>
    public const int TooManyFilesInSystem = 23;

    /// <summary>EADDRINUSE.</summary>
    public const int AddressInUse = 98;

    /// <summary>ENOBUFS.</summary>
    public const int NoBuffers = 105;

    /// <summary>ECONNREFUSED.</summary>
    public const int ConnectionRefused = 111;

    /// <summary>EPIPE.</summary>
    public const int BrokenPipe = 32;

    /// <summary>EOPNOTSUPP.</summary>
    public const int NotSupported = 95;
}
