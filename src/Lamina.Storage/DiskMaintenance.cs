using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Storage.Qcow2;

namespace Lamina.Storage;

/// <summary>What is done to images that no machine uses: checking, comparing, and moving content along a chain.</summary>
public static class DiskMaintenance
{
    private const int Part = 1 << 20;

    /// <summary>Checks an image. A raw one has nothing that could be wrong.</summary>
    /// <param name="path">The image.</param>
    /// <param name="format">Its format; null goes by the name.</param>
    /// <param name="repair">What is done about what is found.</param>
    /// <param name="progress">Told how much is done, from 0 to 1; or null.</param>
    /// <exception cref="StorageException">It cannot be opened or read.</exception>
    public static DiskCheckResult Check(string path, DiskFormat? format, DiskRepair repair, Action<double>? progress)
    {
        bool writes = repair != DiskRepair.None;
        try
        {
            using BlockFile file = BlockFile.Open(path, writes);
            ImageLock.Take(file, writes);
            return (format ?? DiskImages.GetFormatByName(path)) == DiskFormat.Raw
                ? new DiskCheckResult(0, 0, 0, false, [])
                : Qcow2Check.Run(file, repair, progress);
        }
        catch (SystemCallException e)
        {
            throw new StorageException($"'{path}' cannot be checked: {e.Reason}", e);
        }
    }

    /// <summary>Compares what two disks hold. The longer one's rest is compared with zeroes.</summary>
    /// <returns>The place of the first byte that differs; null if none does.</returns>
    /// <exception cref="StorageException">One cannot be read.</exception>
    public static ulong? Compare(DiskImage first, DiskImage second, Action<double>? progress)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        View one = new(first);
        View two = new(second);
        ulong length = Math.Max(first.Length, second.Length);
        for (ulong at = 0; at < length;)
        {
            progress?.Invoke((double)at / length);
            ulong part = Math.Min(one.GetZeroes(at, length), two.GetZeroes(at, length));
            if (part == 0)
            {
                part = Math.Min(Part, length - at);
                int difference = one.Read(at, (int)part).CommonPrefixLength(two.Read(at, (int)part));
                if (difference < (int)part)
                {
                    return at + (ulong)difference;
                }
            }

            at += part;
        }

        return null;
    }

    /// <summary>Moves what an image holds itself into its backing image, and empties it.</summary>
    /// <param name="path">The image.</param>
    /// <param name="progress">Told how much is done, from 0 to 1; or null.</param>
    /// <exception cref="StorageException">It has no backing image, or one of them cannot be written.</exception>
    public static void Commit(string path, Action<double>? progress)
    {
        using DiskImage opened = DiskImages.OpenForCommit(path);
        if (opened is not Qcow2Image { Backing: { } below } image)
        {
            throw new StorageException($"'{path}' has no backing image to which anything could be committed.");
        }

        if (image.Length > below.Length)
        {
            DiskCopy.Check(below.Resize(image.Length), below.Path, "made longer");
        }

        View view = new(image);
        for (ulong at = 0; at < image.Length;)
        {
            progress?.Invoke((double)at / image.Length);
            DiskCopy.Check(image.GetExtent(at, out DiskExtent extent), path, "read");
            ulong part = Math.Min(extent.Length, image.Length - at);
            if (extent is { IsAllocated: true, IsZero: true })
            {
                DiskCopy.Check(below.WriteZeroes(at, part, mayDiscard: true), below.Path, "written");
            }
            else if (extent.IsAllocated)
            {
                part = Math.Min(part, Part);
                view.Read(at, (int)part);
                DiskCopy.Check(below.Write(at, [view.GetVector((int)part)]), below.Path, "written");
            }

            at += part;
        }

        GC.KeepAlive(view);

        // Only what is safe below is forgotten here.
        DiskCopy.Check(below.Flush(), below.Path, "written");
        DiskCopy.Check(image.Clear(), path, "written");
        DiskCopy.Check(image.Flush(), path, "written");
    }

    /// <summary>Gives an image another backing image. Its disk stays as it is: what the two differ in is copied into it first.</summary>
    /// <param name="path">The image.</param>
    /// <param name="backing">The new backing image; null for none.</param>
    /// <param name="backingFormat">Its format; null goes by the name.</param>
    /// <param name="trust">Only write the name down, because both are the same, or the old one is gone.</param>
    /// <param name="progress">Told how much is done, from 0 to 1; or null.</param>
    /// <exception cref="StorageException">One of them cannot be opened or written.</exception>
    public static void Rebase(string path, string? backing, DiskFormat? backingFormat, bool trust, Action<double>? progress)
    {
        if (backing != null && Path.GetFullPath(backing) == Path.GetFullPath(path))
        {
            throw new StorageException($"'{path}' cannot be its own backing image.");
        }

        using DiskImage? below = backing == null ? null : DiskImages.Open(backing, backingFormat, writable: false);
        using DiskImage opened = trust ? DiskImages.OpenAlone(path) : DiskImages.Open(path, DiskFormat.Qcow2, writable: true);
        Qcow2Image image = (Qcow2Image)opened;
        if (!trust)
        {
            CopyDifferences(image, below, progress);
        }

        int error = image.ChangeBacking(backing == null ? null : Path.GetFullPath(backing), below?.Format ?? DiskFormat.Raw);
        DiskCopy.Check(error, path, "written");
    }

    /// <summary>The snapshots that an image keeps in itself.</summary>
    /// <exception cref="StorageException">Their table is damaged.</exception>
    public static IReadOnlyList<DiskSnapshot> GetSnapshots(DiskImage image)
    {
        return image is Qcow2Image qcow2 ? [.. qcow2.GetSnapshots().Select(s => new DiskSnapshot(s.Id, s.Name, s.Taken, s.DiskLength, s.StateLength))] : [];
    }

    /// <summary>Makes a disk what it was when a snapshot was taken. The snapshot stays.</summary>
    /// <param name="path">The image.</param>
    /// <param name="snapshot">The snapshot's name or number.</param>
    /// <exception cref="StorageException">There is none of that name, or the image cannot be written.</exception>
    public static void ApplySnapshot(string path, string snapshot)
    {
        using DiskImage image = DiskImages.Open(path, null, writable: true);
        IReadOnlyList<Qcow2Snapshot> all = image is Qcow2Image qcow2 ? qcow2.GetSnapshots() : [];
        Qcow2Snapshot? chosen = all.FirstOrDefault(s => s.Name == snapshot) ?? all.FirstOrDefault(s => s.Id == snapshot);
        if (chosen == null)
        {
            string names = all.Count == 0 ? "It has none." : $"It has: {string.Join(", ", all.Select(s => s.Name))}.";
            throw new StorageException($"'{path}' has no snapshot '{snapshot}'. {names}");
        }

        DiskCopy.Check(((Qcow2Image)image).Apply(chosen), path, "written");
    }

    private static void CopyDifferences(Qcow2Image image, DiskImage? below, Action<double>? progress)
    {
        View old = new(image);
        View? other = below == null ? null : new View(below);
        int step = (int)Math.Clamp(image.Header.ClusterSize, 1 << 16, Part);
        byte[] zeroes = new byte[step];
        for (ulong at = 0; at < image.Length;)
        {
            progress?.Invoke((double)at / image.Length);
            DiskCopy.Check(image.GetExtent(at, out DiskExtent extent), image.Path, "read");
            ulong end = at + Math.Min(extent.Length, image.Length - at);
            while (!extent.IsAllocated && at < end)
            {
                int part = (int)Math.Min((ulong)step, end - at);
                ReadOnlySpan<byte> content = old.Read(at, part);
                ReadOnlySpan<byte> there = other == null ? zeroes.AsSpan(0, part) : other.Read(at, part);
                if (!content.SequenceEqual(there))
                {
                    DiskCopy.Check(image.Write(at, [old.GetVector(part)]), image.Path, "written");
                }

                at += (ulong)part;
            }

            at = end;
        }

        GC.KeepAlive(old);
        DiskCopy.Check(image.Flush(), image.Path, "written");
    }

    // A disk and a buffer for a part of it; behind its end it reads as zeroes.
    private sealed class View(DiskImage image)
    {
        private readonly byte[] _buffer = GC.AllocateArray<byte>(Part, pinned: true);

        public IoVector GetVector(int length) => new(Marshal.UnsafeAddrOfPinnedArrayElement(_buffer, 0), (nuint)length);

        public ReadOnlySpan<byte> Read(ulong offset, int length)
        {
            int there = offset >= image.Length ? 0 : (int)Math.Min((ulong)length, image.Length - offset);
            _buffer.AsSpan(there, length - there).Clear();
            if (there > 0)
            {
                DiskCopy.Check(image.Read(offset, [GetVector(there)]), image.Path, "read");
                GC.KeepAlive(_buffer);
            }

            return _buffer.AsSpan(0, length);
        }

        // How much from here on is known to be zeroes.
        public ulong GetZeroes(ulong offset, ulong end)
        {
            if (offset >= image.Length)
            {
                return end - offset;
            }

            DiskCopy.Check(image.GetExtent(offset, out DiskExtent extent), image.Path, "read");
            return extent.IsZero ? Math.Min(extent.Length, image.Length - offset) : 0;
        }
    }
}
