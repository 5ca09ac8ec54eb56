namespace Lamina.Interop.Isolation;

/// <summary>What may be done below a path (Landlock's LANDLOCK_ACCESS_FS_*).</summary>
[Flags]
public enum FolderRights : ulong
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Execute a file.</summary>
    Execute = 1 << 0,

    /// <summary>Open a file for writing.</summary>
    WriteFile = 1 << 1,

    /// <summary>Open a file for reading.</summary>
    ReadFile = 1 << 2,

    /// <summary>List a directory.</summary>
    ReadFolder = 1 << 3,

    /// <summary>Remove a directory.</summary>
    RemoveFolder = 1 << 4,

    /// <summary>Remove a file.</summary>
    RemoveFile = 1 << 5,

    /// <summary>Make a character device.</summary>
    MakeCharacterDevice = 1 << 6,

    /// <summary>Make a directory.</summary>
    MakeFolder = 1 << 7,

    /// <summary>Make a regular file.</summary>
    MakeFile = 1 << 8,

    /// <summary>Make a socket.</summary>
    MakeSocket = 1 << 9,

    /// <summary>Make a pipe.</summary>
    MakePipe = 1 << 10,

    /// <summary>Make a block device.</summary>
    MakeBlockDevice = 1 << 11,

    /// <summary>Make a symbolic link.</summary>
    MakeSymbolicLink = 1 << 12,

    /// <summary>Move or link a file from another directory, or to one. Since version 2.</summary>
    Refer = 1 << 13,

    /// <summary>Make a file shorter. Since version 3.</summary>
    Truncate = 1 << 14,

    /// <summary>Control a device. Since version 5.</summary>
    ControlDevice = 1 << 15,

    /// <summary>Read files, and list directories.</summary>
    Read = ReadFile | ReadFolder,

    /// <summary>All that a user does with files and directories, but execute files and make devices.</summary>
    Change = Read | WriteFile | RemoveFolder | RemoveFile | MakeFolder | MakeFile | MakeSocket | MakePipe | MakeSymbolicLink | Refer | Truncate,
}
