using System.Globalization;
using System.Security.Cryptography;
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
    internal const string PackedFile = "memory.z";
    internal const string PagesFile = "pages.bin";
    internal const string KernelFile = "kernel.bin";
    internal const string InitrdFile = "initrd.bin";
    internal const string Compression = "zlib";
    internal const long MaximumManifest = 4 << 20;
    private const long MaximumState = 64 << 20;
    private const int MaximumChain = 256;
    private readonly List<(string Place, MemoryLayer Layer)> _layers;
    private readonly Dictionary<string, StateRecord> _records;

    private MachineSnapshot(string directory, SnapshotManifest manifest, string identity, List<(string Place, MemoryLayer Layer)> layers, Dictionary<string, StateRecord> records)
    {
        Directory = directory;
        Manifest = manifest;
        Identity = identity;
        _layers = layers;
        _records = records;
    }

    /// <summary>Where it is.</summary>
    public string Directory { get; }

    /// <summary>What it says of itself.</summary>
    public SnapshotManifest Manifest { get; }

    /// <summary>SHA-256 of its manifest, by which others that rest on it know it.</summary>
    internal string Identity { get; }

    /// <summary>Where kernel and initial RAM disk are: here, or where it rests on; null if nowhere.</summary>
    internal string? ImageDirectory { get; private init; }

    internal IReadOnlyList<CpuidEntry> Cpuid => [.. Manifest.Cpuid.Select(static e => new CpuidEntry(e[0], e[1], e[2], e[3], e[4], e[5]))];

    /// <summary>Opens a snapshot and those that it rests on, and checks all but their memory's and its disks' content.</summary>
    /// <exception cref="SnapshotException">It is no snapshot, is damaged, lacks one that it rests on, or is of a machine that this version does not have.</exception>
    public static MachineSnapshot Open(string directory)
    {
        SnapshotManifest manifest = ReadManifest(directory, out string identity);
        byte[] state = SnapshotFile.ReadAll(directory, StateFile, MaximumState);
        SavedFile saved = FindFile(manifest, StateFile);
        Check(state, saved);
        Dictionary<string, StateRecord> records = StateArchive.Read(state) ?? throw new SnapshotException($"'{StateFile}' has no devices' states in it");
        foreach (string name in manifest.Disks.Where(static d => d.IsCopied).Select(static d => d.Path))
        {
            CheckLength(directory, name, manifest);
        }

        List<(string Place, MemoryLayer Layer)> layers = OpenLayers(directory, manifest, out string images, out SnapshotManifest lowest);
        try
        {
            string[] names = manifest.Boot == null || lowest.Boot == null ? [] : manifest.Boot.HasInitrd ? [KernelFile, InitrdFile] : [KernelFile];
            Array.ForEach(names, name => CheckLength(images, name, lowest));
            return new MachineSnapshot(directory, manifest, identity, layers, records) { ImageDirectory = names.Length == 0 ? null : images };
        }
        catch
        {
            layers.ForEach(static l => l.Layer.Dispose());
            throw;
        }
    }

    /// <summary>Checks the content of all files against their digests, also of the memory that it has from others.</summary>
    /// <exception cref="SnapshotException">One is not what was saved; it is named.</exception>
    public void Verify()
    {
        foreach (SavedFile saved in Manifest.Files.Where(static f => f.Name is not (StateFile or MemoryFile or PackedFile)))
        {
            using SafeFileHandle file = SnapshotFile.Open(Directory, saved.Name);
            SnapshotFile.Read(saved.Name, () => (ulong)RandomAccess.GetLength(file) == saved.Length && Digest(saved.Name, file) == saved.Sha256
                ? true
                : throw new SnapshotException($"'{saved.Name}' is not what was saved: it is damaged or cut off"));
        }

        foreach ((string place, MemoryLayer layer) in _layers)
        {
            layer.Verify(place);
        }
    }

    /// <summary>
    /// What its machine would use of the host beside the snapshot's own files. A snapshot that somebody else has made, or a machine's process that was taken over, may name what its user would not give to
    /// the guest; so whoever restores one should look at this before. Images are opened to find what they rest on, and their content is not read.
    /// </summary>
    public IReadOnlyList<HostResource> FindHostResources()
    {
        List<HostResource> resources = [];
        string own = Path.GetFullPath(Directory);
        foreach (SavedDisk disk in Manifest.Disks)
        {
            string path = disk.IsCopied ? Path.Combine(own, disk.Path) : disk.Path;
            if (!disk.IsCopied)
            {
                resources.Add(new HostResource(HostResourceKind.Disk, path));
            }

            if (disk.Format == "qcow2")
            {
                resources.AddRange(FindBelow(path).Select(static p => new HostResource(HostResourceKind.Disk, p)));
            }
        }

        resources.AddRange(Manifest.Networks.Where(static n => n.Name != null).Select(static n => new HostResource(HostResourceKind.Network, n.Name!)));
        resources.AddRange(Manifest.Shares.Select(static s => new HostResource(HostResourceKind.Share, s.Path)));
        if (Manifest.SocketPath is { } sockets)
        {
            resources.Add(new HostResource(HostResourceKind.Socket, sockets));
        }

        return resources;
    }

    /// <inheritdoc/>
    public void Dispose() => _layers.ForEach(static l => l.Layer.Dispose());

    /// <summary>Whether it is the name of one of a snapshot's files.</summary>
    internal static bool IsFileName(string name) => name is ManifestFile or StateFile or MemoryFile or PackedFile or PagesFile or KernelFile or InitrdFile || IsDiskFile(name);

    /// <summary>The digest of a file: for images of memory and disks, that of their chunks that are not zero.</summary>
    internal static string Digest(string name, SafeFileHandle file) => name == MemoryFile || IsDiskFile(name) ? MemoryImage.Digest(file) : DigestAll(file);

    /// <summary>Whether it is the name of a disk's copy.</summary>
    internal static bool IsDiskFile(string name)
    {
        ReadOnlySpan<char> number = name.AsSpan(0, Math.Max(name.IndexOf('.', StringComparison.Ordinal), 0));
        return number.StartsWith("disk") && int.TryParse(number[4..], NumberStyles.None, CultureInfo.InvariantCulture, out int parsed)
            && (name == GetDiskFile(parsed, Storage.DiskFormat.Raw) || name == GetDiskFile(parsed, Storage.DiskFormat.Qcow2));
    }

    internal static string GetDiskFile(int number, Storage.DiskFormat format) => string.Create(CultureInfo.InvariantCulture, $"disk{number}.{(format == Storage.DiskFormat.Raw ? "raw" : "qcow2")}");

    /// <summary>Maps the memory, for one machine alone.</summary>
    /// <exception cref="SnapshotException">Compressed memory is damaged.</exception>
    internal SnapshotMemory MapMemory() => SnapshotMemory.Create([.. _layers.Select(static l => l.Layer)], Manifest.MemoryBytes);

    /// <summary>The saved state of a device or processor.</summary>
    /// <exception cref="SnapshotException">There is none.</exception>
    internal StateRecord FindRecord(string name) =>
        _records.GetValueOrDefault(name) ?? throw new SnapshotException($"'{StateFile}' has no state of '{name}', which the machine has");

    /// <summary>Whether a device or processor has a state.</summary>
    internal bool HasRecord(string name) => _records.ContainsKey(name);

    /// <summary>Names of the devices and processors with a state.</summary>
    internal IEnumerable<string> RecordNames => _records.Keys;

    /// <summary>Checks the content of a small file.</summary>
    /// <exception cref="SnapshotException">It is not what was saved.</exception>
    internal static void Check(ReadOnlySpan<byte> content, SavedFile saved)
    {
        if ((ulong)content.Length != saved.Length || Sha256.Hash(content) != saved.Sha256)
        {
            throw new SnapshotException($"'{saved.Name}' is not what was saved: it is damaged or cut off");
        }
    }

    internal static SavedFile FindFile(SnapshotManifest manifest, string name) =>
        manifest.Files.FirstOrDefault(f => f.Name == name) ?? throw new SnapshotException($"'{ManifestFile}' does not have '{name}' among its files");

    // What an image rests on. One that cannot be opened says why when the machine is made.
    private static IEnumerable<string> FindBelow(string image)
    {
        try
        {
            return [.. Storage.DiskImages.FindFiles(image, Storage.DiskFormat.Qcow2, writable: false, direct: false).Skip(1).Select(static f => Path.GetFullPath(f.Path))];
        }
        catch (Storage.StorageException)
        {
            return [];
        }
    }

    private static void CheckLength(string directory, string name, SnapshotManifest manifest)
    {
        using SafeFileHandle image = SnapshotFile.Open(directory, name);
        if (SnapshotFile.Read(name, () => (ulong)RandomAccess.GetLength(image)) != FindFile(manifest, name).Length)
        {
            throw new SnapshotException($"'{name}' is not as long as the saved image: it is cut off, or was written to");
        }
    }

    // From the one that stands alone.
    private static List<(string Place, MemoryLayer Layer)> OpenLayers(string directory, SnapshotManifest manifest, out string place, out SnapshotManifest lowest)
    {
        List<(string Place, MemoryLayer Layer)> layers = [("", MemoryLayer.Open(directory, manifest))];
        try
        {
            lowest = manifest;
            place = directory;
            while (lowest.Base is { } link)
            {
                string below = Path.Combine(place, link.Path);
                place = SnapshotFile.Read(ManifestFile, () => Path.GetFullPath(below));
                if (layers.Count == MaximumChain)
                {
                    throw new SnapshotException($"it rests on more than {MaximumChain} others");
                }

                lowest = OpenBase(place, link, manifest, out MemoryLayer layer);
                layers.Insert(0, ($"{place}/", layer));
            }

            return layers;
        }
        catch
        {
            layers.ForEach(static l => l.Layer.Dispose());
            throw;
        }
    }

    private static SnapshotManifest OpenBase(string directory, BaseSnapshot link, SnapshotManifest top, out MemoryLayer layer)
    {
        try
        {
            SnapshotManifest lower = ReadManifest(directory, out string identity);
            if (identity != link.Sha256)
            {
                throw new SnapshotException("that is another snapshot");
            }

            layer = lower.MemoryBytes == top.MemoryBytes ? MemoryLayer.Open(directory, lower) : throw new SnapshotException("that is of a machine with other memory");
            return lower;
        }
        catch (SnapshotException e)
        {
            throw new SnapshotException($"it rests on the snapshot '{directory}', which cannot be used: {e.Message}", e);
        }
    }

    private static SnapshotManifest ReadManifest(string directory, out string identity)
    {
        byte[] json = SnapshotFile.ReadAll(directory, ManifestFile, MaximumManifest);
        identity = Sha256.Hash(json);
        SnapshotManifest manifest = ManifestReader.Read(json);
        Check(manifest);
        return manifest;
    }

    private static string DigestAll(SafeFileHandle file)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[1 << 20];
        long at = 0;
        int count;
        while ((count = RandomAccess.Read(file, buffer, at)) > 0)
        {
            hash.AppendData(buffer.AsSpan(0, count));
            at += count;
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // A manifest's lists may hold nulls where its types have none.
    private static void Check(SnapshotManifest manifest)
    {
        if (manifest.Format is < SnapshotManifest.PlainFormat or > SnapshotManifest.CurrentFormat)
        {
            throw new SnapshotException($"'{ManifestFile}' is of format {manifest.Format}, and this version reads up to {SnapshotManifest.CurrentFormat}");
        }

        if (!MachineVersion.All.Contains(manifest.Machine))
        {
            throw new SnapshotException($"it is of a machine '{manifest.Machine}', and this version has {string.Join(", ", MachineVersion.All)}");
        }

        bool whole = manifest is { Name: not null, CpuModel: not null, Labels: not null, Files: not null, Disks: not null, Networks: not null, Shares: not null, Ports: not null, Cpuid: not null, Devices: not null, EmptySlots: not null }
            && manifest.Files.All(static f => f is { Name: not null, Sha256: not null })
            && manifest.Disks.All(static d => d is { Path: not null, Format: "raw" or "qcow2" } && IsName(d.Path))
            && manifest.Networks.All(static n => n is { Kind: not null, HardwareAddress: not null, PublishedPorts: not null } && n.PublishedPorts.All(static p => p != null))
            && manifest.Shares.All(static s => s is { Path: not null, Tag: not null } && IsName(s.Path))
            && manifest.Ports.All(static p => p != null)
            && manifest.Cpuid.All(static e => e is { Length: 6 })
            && manifest.Devices.All(static d => d is { Name: not null })
            && (manifest.Base is null || (manifest.Base is { Path: not null, Sha256: not null } && IsName(manifest.Base.Path)))
            && manifest.Boot is null or { Protocol: not null, CommandLine: not null };
        if (!whole)
        {
            throw new SnapshotException($"'{ManifestFile}' lacks something, or has it in the wrong form");
        }

        if (manifest.Compression is not (null or Compression))
        {
            throw new SnapshotException($"its memory is compressed by '{manifest.Compression}', and this version has {Compression}");
        }

        bool possible = manifest.Processors is >= 1 and <= MachineSettings.MaximumProcessorCount
            && manifest.MemoryBytes is >= MachineSettings.MinimumMemorySize and <= MachineSettings.MaximumMemorySize && manifest.MemoryBytes % (1 << 20) == 0
            && (manifest.StartMemoryBytes is not { } start || (start >= MachineSettings.MinimumMemorySize && start < manifest.MemoryBytes && start % (1 << 20) == 0))
            && manifest.TscFrequency is >= 1_000_000 and <= 100_000_000_000
            && manifest.PhysicalAddressBits is >= 36 and <= 52
            && manifest.MachineTime < 1UL << 62
            && manifest.Disks!.Where(static d => d.IsCopied).All(static d => IsDiskFile(d.Path))
            && manifest.Files!.All(static f => f.Name != ManifestFile && IsFileName(f.Name));
        if (!possible)
        {
            throw new SnapshotException($"'{ManifestFile}' is of no machine that can be");
        }
    }

    // What no file can be called is no exception, either.
    private static bool IsName(string path) => !path.Contains('\0', StringComparison.Ordinal);
}
