using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Storage;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>Files that another process has made for a snapshot, and to which it gives their directory's name afterwards.</summary>
internal sealed class PassedSnapshotFiles(IReadOnlyList<PassedFile> files) : ISnapshotFolder
{
    private readonly HashSet<string> _used = [];

    /// <inheritdoc/>
    public string Name => "the snapshot";

    /// <inheritdoc/>
    public SafeFileHandle Create(string name)
    {
        SafeFileHandle file = Reopen(name);
        _used.Add(name);
        return RandomAccess.GetLength(file) == 0 ? file : throw new IOException("the file that was given is not empty");
    }

    /// <inheritdoc/>
    public SafeFileHandle Reopen(string name) => new(Find(name).Number, ownsHandle: false);

    /// <inheritdoc/>
    public DiskImageCopy Copy(DiskBackend disk, string name)
    {
        _used.Add(name);
        PassedFile file = Find(name);

        // Its own descriptor stays, to be read again.
        return disk.BeginCopy(BlockFile.Adopt(BlockFile.Duplicate(file.Number), name));
    }

    /// <inheritdoc/>
    public void CheckDisk(string name)
    {
        // Who has made the files does that: they have no place here.
    }

    /// <inheritdoc/>
    public void Complete()
    {
        if (files.FirstOrDefault(f => !_used.Contains(f.Path)) is { } unused)
        {
            throw new IOException($"'{unused.Path}' was not written, because a device has gone meanwhile");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private PassedFile Find(string name) => files.FirstOrDefault(f => f.Path == name)
        ?? throw new SystemCallException("open", ErrorNumber.AccessDenied);
}
