namespace Lamina.Interop.Isolation;

/// <summary>What becomes of a system call.</summary>
public enum SystemCallVerdict
{
    /// <summary>It is made.</summary>
    Allow,

    /// <summary>It fails with EPERM.</summary>
    Refuse,

    /// <summary>It fails with ENOSYS.</summary>
    Missing,

    /// <summary>The process ends, by SIGSYS.</summary>
    Kill,
}
