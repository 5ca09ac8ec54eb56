namespace Lamina.Interop.Isolation;

/// <summary>Capabilities of a process beyond those of its user (capabilities(7)), as the bits of their numbers.</summary>
[Flags]
public enum HostCapabilities : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Give files to other users (CAP_CHOWN).</summary>
    ChangeOwner = 1 << 0,

    /// <summary>Open other users' files (CAP_DAC_OVERRIDE).</summary>
    OverrideAccess = 1 << 1,

    /// <summary>Change other users' files' modes and times (CAP_FOWNER).</summary>
    ActAsOwner = 1 << 3,

    /// <summary>Keep set-user-ID bits of files that are changed (CAP_FSETID).</summary>
    KeepSetUser = 1 << 4,

    /// <summary>What a shared folder's server needs, to do for a guest's root what that may do.</summary>
    ForFolders = ChangeOwner | OverrideAccess | ActAsOwner | KeepSetUser,
}
