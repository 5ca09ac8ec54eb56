using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>Where a snapshot's files are written.</summary>
internal interface ISnapshotFolder : IDisposable
{
    /// <summary>What messages call it.</summary>
    string Name { get; }

    /// <summary>A new, empty file, to be written and read; once a name.</summary>
    SafeFileHandle Create(string name);

    /// <summary>Checks that a copy of a disk's image can be opened where it is.</summary>
    void CheckDisk(string name);

    /// <summary>A file that was made, to be read again.</summary>
    SafeFileHandle Reopen(string name);

    /// <summary>Begins to copy a disk's image, as it is now, into a new file.</summary>
    Storage.DiskImageCopy Copy(Storage.DiskBackend disk, string name);

    /// <summary>All files are complete and on the disk: the snapshot gets its name.</summary>
    void Complete();
}
