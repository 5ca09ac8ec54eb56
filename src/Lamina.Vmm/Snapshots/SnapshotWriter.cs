using System.Security.Cryptography;
using System.Text.Json;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Memory;
using Lamina.Storage;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// Writes a snapshot into a directory beside the one that it is to be, which gets its name when all of it is on the disk. Whatever interrupts that, there is no snapshot of that name.
/// </summary>
internal sealed class SnapshotWriter : IDisposable
{
    private readonly string _target;
    private readonly string _directory;
    private readonly List<SavedFile> _files = [];
    private bool _done;

    /// <summary>Begins.</summary>
    /// <exception cref="SnapshotException">There is something of that name, or the directory cannot be made.</exception>
    internal SnapshotWriter(string path)
    {
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Path.Exists(_target))
        {
            throw new SnapshotException($"'{path}' exists already; a snapshot gets a directory of its own");
        }

        string parent = Path.GetDirectoryName(_target) ?? "/";
        _directory = Path.Combine(parent, $".{Path.GetFileName(_target)}.{Environment.ProcessId}-{Guid.NewGuid():N}.partial");
        Guard("made", _directory, () => HostFolder.CreatePrivate(_directory));
    }

    /// <summary>Writes RAM. While nobody changes it; its digest is for later.</summary>
    internal void WriteMemory(MemoryMapping memory) => Guard("written", MachineSnapshot.MemoryFile, () =>
    {
        using SafeFileHandle file = CreateFile(MachineSnapshot.MemoryFile);
        MemoryImage.Write(memory, file);
    });

    /// <summary>Copies a disk's image.</summary>
    /// <returns>The copy's name.</returns>
    internal string CopyDisk(int number, DiskBackend disk)
    {
        string name = MachineSnapshot.GetDiskFile(number, disk.Format);
        Guard("written", name, () => disk.CopyImage(Path.Combine(_directory, name)));
        return name;
    }

    /// <summary>Writes the rest, has all of it on the disk, and gives the snapshot its name.</summary>
    /// <param name="manifest">The manifest, without its files.</param>
    /// <param name="state">Devices and processors.</param>
    internal void Complete(SnapshotManifest manifest, byte[] state)
    {
        Guard("written", MachineSnapshot.StateFile, () =>
        {
            using SafeFileHandle file = CreateFile(MachineSnapshot.StateFile);
            RandomAccess.Write(file, state, 0);
            RandomAccess.FlushToDisk(file);
        });
        AddFile(MachineSnapshot.StateFile, Convert.ToHexStringLower(SHA256.HashData(state)));
        foreach (SavedDisk disk in manifest.Disks.Where(static d => d.IsCopied))
        {
            AddFile(disk.Path, null);
        }

        AddFile(MachineSnapshot.MemoryFile, null);
        manifest.Files = [.. _files];
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, SnapshotJson.Default.SnapshotManifest);
        Guard("written", MachineSnapshot.ManifestFile, () =>
        {
            using SafeFileHandle file = CreateFile(MachineSnapshot.ManifestFile);
            RandomAccess.Write(file, json, 0);
            RandomAccess.FlushToDisk(file);
        });
        Guard("written", _target, () =>
        {
            HostFolder.Synchronize(_directory);
            Directory.Move(_directory, _target);
            _done = true;
            HostFolder.Synchronize(Path.GetDirectoryName(_target) ?? "/");
        });
    }

    /// <summary>Removes what is not complete.</summary>
    public void Dispose()
    {
        if (!_done && Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }
    }

    private static void Guard(string verb, string name, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SystemCallException or StorageException or ArgumentException)
        {
            throw new SnapshotException($"'{name}' cannot be {verb}: {e.Message}", e);
        }
    }

    private SafeFileHandle CreateFile(string name)
    {
        string path = Path.Combine(_directory, name);
        return File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read);
    }

    // Reads what was written; a digest that is given is that of what was meant.
    private void AddFile(string name, string? digest) => Guard("read again", name, () =>
    {
        using SafeFileHandle file = File.OpenHandle(Path.Combine(_directory, name), FileMode.Open, FileAccess.ReadWrite);
        RandomAccess.FlushToDisk(file);
        _files.Add(new SavedFile { Name = name, Length = (ulong)RandomAccess.GetLength(file), Sha256 = digest ?? MemoryImage.Digest(file) });
    });
}
