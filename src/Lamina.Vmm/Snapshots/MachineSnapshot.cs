using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Lamina.Interop;
using Lamina.Interop.Memory;
using Lamina.Machine.Processors;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// An open snapshot, from which any number of machines can be made, one after the other or at once. Its manifest and state have been checked; its memory is read when a machine touches it.
/// Everything in it is hostile input.
/// </summary>
public sealed class MachineSnapshot : IDisposable
{
    internal const string ManifestFile = "manifest.json";
    internal const string StateFile = "state.bin";
    internal const string MemoryFile = "memory.bin";
    private const long MaximumManifest = 4 << 20;
    private const long MaximumState = 64 << 20;
    private readonly SafeFileHandle _memory;
    private readonly Dictionary<string, StateRecord> _records;

    private MachineSnapshot(string directory, SnapshotManifest manifest, SafeFileHandle memory, Dictionary<string, StateRecord> records)
    {
        Directory = directory;
        Manifest = manifest;
        _memory = memory;
        _records = records;
    }

    /// <summary>Where it is.</summary>
    public string Directory { get; }

    /// <summary>What it says of itself.</summary>
    public SnapshotManifest Manifest { get; }

    internal IReadOnlyList<CpuidEntry> Cpuid => [.. Manifest.Cpuid.Select(static e => new CpuidEntry(e[0], e[1], e[2], e[3], e[4], e[5]))];

    /// <summary>Opens a snapshot and checks all but its memory's and its disks' content.</summary>
    /// <exception cref="SnapshotException">It is no snapshot, is damaged, or is of a machine that this version does not have.</exception>
    public static MachineSnapshot Open(string directory)
    {
        SnapshotManifest manifest = ReadManifest(directory);
        Check(manifest);
        byte[] state = ReadFile(directory, StateFile, MaximumState);
        SavedFile saved = FindFile(manifest, StateFile);
        if ((ulong)state.Length != saved.Length || Convert.ToHexStringLower(SHA256.HashData(state)) != saved.Sha256)
        {
            throw new SnapshotException($"'{StateFile}' is not what was saved: it is damaged or cut off");
        }

        Dictionary<string, StateRecord> records = StateArchive.Read(state) ?? throw new SnapshotException($"'{StateFile}' has no devices' states in it");
        SafeFileHandle memory = OpenFile(directory, MemoryFile);
        try
        {
            if ((ulong)RandomAccess.GetLength(memory) != manifest.MemoryBytes)
            {
                throw new SnapshotException($"'{MemoryFile}' is not as long as the machine's memory: it is cut off");
            }

            foreach (SavedDisk disk in manifest.Disks.Where(static d => d.IsCopied))
            {
                using SafeFileHandle image = OpenFile(directory, disk.Path);
                if ((ulong)RandomAccess.GetLength(image) != FindFile(manifest, disk.Path).Length)
                {
                    throw new SnapshotException($"'{disk.Path}' is not as long as the saved image: it is cut off, or was written to");
                }
            }

            return new MachineSnapshot(directory, manifest, memory, records);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>Checks the content of all files against their digests.</summary>
    /// <exception cref="SnapshotException">One is not what was saved; it is named.</exception>
    public void Verify()
    {
        foreach (SavedFile saved in Manifest.Files.Where(static f => f.Name != StateFile))
        {
            using SafeFileHandle file = OpenFile(Directory, saved.Name);
            if ((ulong)RandomAccess.GetLength(file) != saved.Length || MemoryImage.Digest(file) != saved.Sha256)
            {
                throw new SnapshotException($"'{saved.Name}' is not what was saved: it is damaged or cut off");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    /// <summary>Whether it is the name of one of a snapshot's files.</summary>
    internal static bool IsFileName(string name) => name is ManifestFile or StateFile or MemoryFile || IsDiskFile(name);

    /// <summary>Whether it is the name of a disk's copy.</summary>
    internal static bool IsDiskFile(string name)
    {
        ReadOnlySpan<char> number = name.AsSpan(0, Math.Max(name.IndexOf('.', StringComparison.Ordinal), 0));
        return number.StartsWith("disk") && int.TryParse(number[4..], NumberStyles.None, CultureInfo.InvariantCulture, out int parsed)
            && (name == GetDiskFile(parsed, Storage.DiskFormat.Raw) || name == GetDiskFile(parsed, Storage.DiskFormat.Qcow2));
    }

    internal static string GetDiskFile(int number, Storage.DiskFormat format) => string.Create(CultureInfo.InvariantCulture, $"disk{number}.{(format == Storage.DiskFormat.Raw ? "raw" : "qcow2")}");

    /// <summary>Maps the memory, for one machine alone.</summary>
    internal MemoryMapping MapMemory() => MemoryMapping.CreatePrivate(_memory, Manifest.MemoryBytes);

    /// <summary>The saved state of a device or processor.</summary>
    /// <exception cref="SnapshotException">There is none.</exception>
    internal StateRecord FindRecord(string name) =>
        _records.GetValueOrDefault(name) ?? throw new SnapshotException($"'{StateFile}' has no state of '{name}', which the machine has");

    /// <summary>Names of the devices and processors with a state.</summary>
    internal IEnumerable<string> RecordNames => _records.Keys;

    private static SnapshotManifest ReadManifest(string directory)
    {
        byte[] json = ReadFile(directory, ManifestFile, MaximumManifest);
        try
        {
            return JsonSerializer.Deserialize(json, SnapshotJson.Default.SnapshotManifest) ?? throw new SnapshotException($"'{ManifestFile}' is empty");
        }
        catch (JsonException e)
        {
            throw new SnapshotException($"'{ManifestFile}' makes no sense: {e.Message}", e);
        }
    }

    // A manifest's lists may hold nulls where its types have none.
    private static void Check(SnapshotManifest manifest)
    {
        if (manifest.Format != SnapshotManifest.CurrentFormat)
        {
            throw new SnapshotException($"'{ManifestFile}' is of format {manifest.Format}, and this version reads {SnapshotManifest.CurrentFormat}");
        }

        if (!MachineVersion.All.Contains(manifest.Machine))
        {
            throw new SnapshotException($"it is of a machine '{manifest.Machine}', and this version has {string.Join(", ", MachineVersion.All)}");
        }

        bool whole = manifest is { Name: not null, CpuModel: not null, Labels: not null, Files: not null, Disks: not null, Networks: not null, Ports: not null, Cpuid: not null, Devices: not null, EmptySlots: not null }
            && manifest.Files.All(static f => f is { Name: not null, Sha256: not null })
            && manifest.Disks.All(static d => d is { Path: not null, Format: "raw" or "qcow2" })
            && manifest.Networks.All(static n => n is { Kind: not null, HardwareAddress: not null })
            && manifest.Ports.All(static p => p != null)
            && manifest.Cpuid.All(static e => e is { Length: 6 })
            && manifest.Devices.All(static d => d is { Name: not null });
        if (!whole)
        {
            throw new SnapshotException($"'{ManifestFile}' lacks something, or has it in the wrong form");
        }

        bool possible = manifest.Processors is >= 1 and <= MachineSettings.MaximumProcessorCount
            && manifest.MemoryBytes is >= MachineSettings.MinimumMemorySize and <= MachineSettings.MaximumMemorySize && manifest.MemoryBytes % (1 << 20) == 0
            && manifest.TscFrequency is >= 1_000_000 and <= 100_000_000_000
            && manifest.PhysicalAddressBits is >= 36 and <= 52
            && manifest.MachineTime < 1UL << 62
            && manifest.Disks!.Where(static d => d.IsCopied).All(static d => Path.GetFileName(d.Path) == d.Path && d.Path.StartsWith("disk", StringComparison.Ordinal))
            && manifest.Files!.All(static f => f.Name is StateFile or MemoryFile || (Path.GetFileName(f.Name) == f.Name && f.Name.StartsWith("disk", StringComparison.Ordinal)));
        if (!possible)
        {
            throw new SnapshotException($"'{ManifestFile}' is of no machine that can be");
        }
    }

    private static SavedFile FindFile(SnapshotManifest manifest, string name) =>
        manifest.Files.FirstOrDefault(f => f.Name == name) ?? throw new SnapshotException($"'{ManifestFile}' does not have '{name}' among its files");

    private static byte[] ReadFile(string directory, string name, long limit)
    {
        using SafeFileHandle file = OpenFile(directory, name);
        long length = RandomAccess.GetLength(file);
        if (length > limit)
        {
            throw new SnapshotException($"'{name}' is too long to be what it should");
        }

        byte[] content = new byte[length];
        int total = 0;
        int count;
        while (total < content.Length && (count = RandomAccess.Read(file, content.AsSpan(total), total)) > 0)
        {
            total += count;
        }

        return content[..total];
    }

    private static SafeFileHandle OpenFile(string directory, string name)
    {
        try
        {
            return File.OpenHandle(Path.Combine(directory, name), FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SnapshotException(name == ManifestFile ? $"'{directory}' is no snapshot: it has no '{ManifestFile}'" : $"'{name}' is missing", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or SystemCallException)
        {
            throw new SnapshotException($"'{name}' cannot be read: {e.Message}", e);
        }
    }
}
