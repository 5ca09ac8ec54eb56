using System.Security.Cryptography;
using System.Text.Json;
using Lamina.Interop;
using Lamina.Interop.Memory;
using Lamina.Storage;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>Writes a snapshot's files.</summary>
/// <param name="folder">Where they go.</param>
internal sealed class SnapshotWriter(ISnapshotFolder folder)
{
    private readonly List<SavedFile> _files = [];

    /// <summary>Writes RAM. While nobody changes it; its digest is for later.</summary>
    internal void WriteMemory(MemoryMapping memory) => Guard("written", MachineSnapshot.MemoryFile, () =>
    {
        using SafeFileHandle file = folder.Create(MachineSnapshot.MemoryFile);
        MemoryImage.Write(memory, file);
    });

    /// <summary>Copies a disk's image.</summary>
    /// <returns>The copy's name.</returns>
    internal string CopyDisk(int number, DiskBackend disk)
    {
        string name = MachineSnapshot.GetDiskFile(number, disk.Format);
        Guard("written", name, () => folder.Copy(disk, name));
        return name;
    }

    /// <summary>Writes the rest, has all of it on the disk, and gives the snapshot its name.</summary>
    /// <param name="manifest">The manifest, without its files.</param>
    /// <param name="state">Devices and processors.</param>
    internal void Complete(SnapshotManifest manifest, byte[] state)
    {
        Guard("written", MachineSnapshot.StateFile, () =>
        {
            using SafeFileHandle file = folder.Create(MachineSnapshot.StateFile);
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
            using SafeFileHandle file = folder.Create(MachineSnapshot.ManifestFile);
            RandomAccess.Write(file, json, 0);
            RandomAccess.FlushToDisk(file);
        });
        Guard("written", folder.Name, folder.Complete);
    }

    internal static void Guard(string verb, string name, Action write)
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

    // Reads what was written; a digest that is given is that of what was meant.
    private void AddFile(string name, string? digest) => Guard("read again", name, () =>
    {
        using SafeFileHandle file = folder.Reopen(name);
        RandomAccess.FlushToDisk(file);
        _files.Add(new SavedFile { Name = name, Length = (ulong)RandomAccess.GetLength(file), Sha256 = digest ?? MemoryImage.Digest(file) });
    });
}
