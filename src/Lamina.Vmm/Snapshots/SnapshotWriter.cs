using System.Text.Json;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Interop.Memory;
using Lamina.Storage;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>Writes a snapshot's files.</summary>
/// <param name="folder">Where they go.</param>
/// <param name="options">How.</param>
internal sealed class SnapshotWriter(ISnapshotFolder folder, SnapshotOptions options) : IDisposable
{
    private readonly List<SavedFile> _files = [];
    private readonly List<(string Name, DiskImageCopy Copy)> _copies = [];
    private SafeFileHandle? _unpacked;
    private List<PageRun>? _runs;

    /// <summary>Writes RAM, while nobody changes it. Digests and compression are for later.</summary>
    /// <param name="memory">RAM.</param>
    /// <param name="changed">The pages that have changed since the base; null for all.</param>
    internal void WriteMemory(SnapshotMemory memory, List<PageRun>? changed) => Guard("written", MachineSnapshot.MemoryFile, () =>
    {
        _runs = changed;
        SafeFileHandle file = options.IsCompressed ? CreateInMemory() : folder.Create(MachineSnapshot.MemoryFile);
        if (options.IsCompressed)
        {
            _unpacked = file;
        }

        try
        {
            if (changed != null)
            {
                MemoryImage.Write(memory.Mapping, changed, file);
            }
            else
            {
                using PresentPages present = new(memory.Mapping, memory.FindData());
                MemoryImage.Write(memory.Mapping, present, file);
            }
        }
        finally
        {
            if (!options.IsCompressed)
            {
                file.Dispose();
            }
        }
    });

    /// <summary>Begins to copy a disk's image, as it is now.</summary>
    /// <returns>The copy's name.</returns>
    internal string CopyDisk(int number, DiskBackend disk)
    {
        string name = MachineSnapshot.GetDiskFile(number, disk.Format);
        Guard("written", name, () => _copies.Add((name, folder.Copy(disk, name))));
        return name;
    }

    /// <summary>Writes the rest, has all of it on the disk, and gives the snapshot its name.</summary>
    /// <param name="manifest">The manifest, without its files.</param>
    /// <param name="state">Devices and processors.</param>
    /// <param name="boot">What the machine boots; null if that is not known, or the base has it.</param>
    /// <returns>The snapshot's identity: the digest of its manifest.</returns>
    internal string Complete(SnapshotManifest manifest, byte[] state, Boot.BootLoader? boot)
    {
        foreach ((string name, DiskImageCopy copy) in _copies)
        {
            Guard("written", name, () =>
            {
                copy.Complete();
                folder.CheckDisk(name);
            });
        }

        Add(MachineSnapshot.StateFile, state);
        foreach (SavedDisk disk in manifest.Disks.Where(static d => d.IsCopied))
        {
            AddFile(disk.Path);
        }

        if (_runs != null)
        {
            Add(MachineSnapshot.PagesFile, PageList.Write(_runs));
        }

        if (_unpacked != null)
        {
            Guard("written", MachineSnapshot.PackedFile, () =>
            {
                using SafeFileHandle file = folder.Create(MachineSnapshot.PackedFile);
                PackedMemory.Pack(_unpacked, _runs, file);
            });
        }

        AddFile(options.IsCompressed ? MachineSnapshot.PackedFile : MachineSnapshot.MemoryFile);
        Add(MachineSnapshot.KernelFile, boot?.KernelImage);
        Add(MachineSnapshot.InitrdFile, boot?.InitrdImage);
        manifest.Files = [.. _files];
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, SnapshotJson.Default.SnapshotManifest);
        Write(MachineSnapshot.ManifestFile, json);
        Guard("written", folder.Name, folder.Complete);
        return Sha256.Hash(json);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _copies.ForEach(static c => c.Copy.Dispose());
        _unpacked?.Dispose();
    }

    internal static void Guard(string verb, string name, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SystemCallException or StorageException or ArgumentException or Boot.BootException)
        {
            throw new SnapshotException($"'{name}' cannot be {verb}: {e.Message}", e);
        }
    }

    private static SafeFileHandle CreateInMemory()
    {
        using MemoryFile file = MemoryFile.Create("snapshot", 0);
        return new SafeFileHandle(BlockFile.Duplicate(file.Descriptor), ownsHandle: true);
    }

    private void Add(string name, byte[] content)
    {
        Write(name, content);
        _files.Add(new SavedFile { Name = name, Length = (ulong)content.Length, Sha256 = Sha256.Hash(content) });
    }

    private void Add(string name, Boot.BootImageReader? image)
    {
        if (image == null)
        {
            return;
        }

        Guard("written", name, () =>
        {
            using SafeFileHandle file = folder.Create(name);
            byte[] buffer = new byte[1 << 20];
            for (long at = 0; at < image.Length; at += buffer.Length)
            {
                Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, image.Length - at));
                image.Read(at, part);
                RandomAccess.Write(file, part, at);
            }
        });
        AddFile(name);
    }

    private void Write(string name, byte[] content) => Guard("written", name, () =>
    {
        using SafeFileHandle file = folder.Create(name);
        RandomAccess.Write(file, content, 0);
        RandomAccess.FlushToDisk(file);
    });

    // Reads what was written.
    private void AddFile(string name) => Guard("read again", name, () =>
    {
        using SafeFileHandle file = folder.Reopen(name);
        RandomAccess.FlushToDisk(file);
        _files.Add(new SavedFile { Name = name, Length = (ulong)RandomAccess.GetLength(file), Sha256 = MachineSnapshot.Digest(name, file) });
    });
}
