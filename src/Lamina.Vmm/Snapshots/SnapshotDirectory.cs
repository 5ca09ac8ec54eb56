using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Storage;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// A directory beside the one that the snapshot is to be, which gets its name when all of it is on the disk. Whatever interrupts that, there is no snapshot of that name.
/// </summary>
public sealed class SnapshotDirectory : ISnapshotFolder
{
    private const string Ending = ".partial";
    private readonly string _target;
    private readonly string _directory;
    private readonly SafeFileHandle _lock;
    private bool _done;

    /// <summary>Makes it.</summary>
    /// <param name="path">The name that it is to get.</param>
    /// <exception cref="SnapshotException">There is something of that name, or the directory cannot be made.</exception>
    public SnapshotDirectory(string path)
    {
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.Exists(_target))
        {
            throw new SnapshotException($"'{path}' exists already; a snapshot gets a directory of its own");
        }

        string parent = Path.GetDirectoryName(_target) ?? "/";
        RemoveLeftovers(parent);
        (_directory, _lock) = Make(parent, Path.GetFileName(_target));
    }

    /// <inheritdoc/>
    public string Name => _target;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_done && Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }

        _lock.Dispose();
    }

    /// <summary>Makes a new file in it, for another process to write.</summary>
    /// <exception cref="SnapshotException">That is not possible, or it is not one of a snapshot's names.</exception>
    public PassedFile CreateFile(string name)
    {
        PassedFile? file = null;
        if (!MachineSnapshot.IsFileName(name))
        {
            throw new SnapshotException($"'{name}' is no file of a snapshot");
        }

        SnapshotWriter.Guard("made", name, () => file = PassedFile.CreateNew(Path.Combine(_directory, name)));
        return file!;
    }

    /// <summary>Another process has written the files: checks that the copies of disks can be opened where they are, and gives the snapshot its name.</summary>
    /// <exception cref="SnapshotException">That is not possible.</exception>
    public void CompleteWritten(IEnumerable<string> names)
    {
        foreach (string name in names.Where(MachineSnapshot.IsDiskFile))
        {
            SnapshotWriter.Guard("used", name, () => DiskImages.Open(Path.Combine(_directory, name), null, writable: false).Dispose());
        }

        SnapshotWriter.Guard("written", _target, ((ISnapshotFolder)this).Complete);
    }

    /// <inheritdoc/>
    SafeFileHandle ISnapshotFolder.Create(string name) => File.OpenHandle(Path.Combine(_directory, name), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read);

    /// <inheritdoc/>
    SafeFileHandle ISnapshotFolder.Reopen(string name) => File.OpenHandle(Path.Combine(_directory, name), FileMode.Open, FileAccess.ReadWrite);

    /// <inheritdoc/>
    DiskImageCopy ISnapshotFolder.Copy(DiskBackend disk, string name) => disk.BeginCopy(BlockFile.CreateNew(Path.Combine(_directory, name)));

    /// <inheritdoc/>
    void ISnapshotFolder.CheckDisk(string name) => DiskImages.Open(Path.Combine(_directory, name), null, writable: false).Dispose();

    /// <inheritdoc/>
    void ISnapshotFolder.Complete()
    {
        HostFolder.Synchronize(_directory);
        Directory.Move(_directory, _target);
        try
        {
            HostFolder.Synchronize(Path.GetDirectoryName(_target) ?? "/");
            _done = true;
        }
        catch
        {
            // It may not be there after a crash of the host, so it is not there now.
            Directory.Move(_target, _directory);
            throw;
        }
    }

    // What a process that was killed has left: whoever writes holds the directory's lock.
    private static void RemoveLeftovers(string parent)
    {
        string[] partial = [];
        try
        {
            partial = Directory.GetDirectories(parent, $".*{Ending}", new EnumerationOptions { AttributesToSkip = 0 });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The directory cannot be made there either, and that is told.
        }

        foreach (string path in partial.Where(IsPartial))
        {
            try
            {
                Remove(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or SystemCallException)
            {
                // It is another user's.
            }
        }
    }

    private static void Remove(string path)
    {
        using SafeFileHandle? held = HostFolder.TryLock(path);
        if (held != null)
        {
            Directory.Delete(path, recursive: true);
        }
    }

    // Whoever removes what is left over may have the lock of a new directory first, and take it away.
    private static (string Directory, SafeFileHandle Lock) Make(string parent, string name)
    {
        while (true)
        {
            string directory = Path.Combine(parent, $".{name}.{Environment.ProcessId}-{Guid.NewGuid():N}{Ending}");
            SafeFileHandle? held = null;
            SnapshotWriter.Guard("made", directory, () =>
            {
                HostFolder.CreatePrivate(directory);
                try
                {
                    held = HostFolder.TryLock(directory);
                }
                catch
                {
                    Directory.Delete(directory, recursive: true);
                    throw;
                }
            });
            if (held != null)
            {
                return (directory, held);
            }
        }
    }

    // As ".NAME.PID-GUID.partial".
    private static bool IsPartial(string path)
    {
        string stem = Path.GetFileNameWithoutExtension(path);
        int dash = stem.LastIndexOf('-');
        int dot = dash < 0 ? -1 : stem.LastIndexOf('.', dash);
        return dot > 0 && int.TryParse(stem.AsSpan(dot + 1, dash - dot - 1), out _) && Guid.TryParseExact(stem.AsSpan(dash + 1), "N", out _);
    }
}
