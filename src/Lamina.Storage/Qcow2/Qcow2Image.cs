using System.Buffers.Binary;
using Lamina.Interop;
using Lamina.Interop.Compression;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>
/// A qcow2 image. Changes of tables and counts stay in memory and are written in an order that leaves the file whole wherever it is cut off: data and counts first, then the tables that
/// refer to them, and what became free last. Reading, and writing to clusters that are this image's alone, goes on side by side; everything that changes a table is alone.
/// </summary>
internal sealed partial class Qcow2Image : DiskImage
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const ulong Zero = 1;
    private const int MaximumVectors = 512;
    private const int MaximumCleanTables = 128;
    private const int MaximumDirtyTables = 64;
    private const int MaximumReleased = 4096;

    private readonly BlockFile _file;
    private readonly PromptWriter _writer;
    private readonly Qcow2Header _header;
    private readonly Qcow2Refcounts? _refcounts;
    private readonly DiskImage? _backing;
    private ulong[] _l1;
    private bool[] _l1Dirty;
    private readonly Dictionary<int, Table> _tables = [];
    private readonly Lock _tablesLock = new();
    private readonly ReaderWriterLockSlim _lock = new();
    private readonly List<(ulong Offset, ulong Length)> _released = [];
    private readonly byte[] _cluster;
    private readonly byte[] _tableBytes;
    private readonly object _ringGate = new();
    private int _inRing;
    private int _dirtyTables;
    private bool _hasDirtyEntries;
    private volatile bool _canReadNow = true;

    private Qcow2Image(BlockFile file, Qcow2Header header, Qcow2Refcounts? refcounts, DiskImage? backing, ulong[] l1)
    {
        _file = file;
        _writer = new PromptWriter(file);
        _header = header;
        _refcounts = refcounts;
        _backing = backing;
        _l1 = l1;
        _l1Dirty = new bool[l1.Length];
        _cluster = GC.AllocateUninitializedArray<byte>((int)header.ClusterSize, pinned: true);
        _tableBytes = GC.AllocateUninitializedArray<byte>((int)header.ClusterSize);
    }

    /// <inheritdoc/>
    public override DiskFormat Format => DiskFormat.Qcow2;

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override string? BackingPath => _backing?.Path;

    /// <inheritdoc/>
    public override ulong Length => _header.Length;

    /// <inheritdoc/>
    public override bool IsReadOnly => _refcounts == null;

    /// <inheritdoc/>
    public override bool CanDiscard => !IsReadOnly && (_header.Version >= 3 || _backing == null);

    /// <inheritdoc/>
    public override uint PreferredBlock => (uint)_header.ClusterSize;

    /// <summary>The image below, or null.</summary>
    internal DiskImage? Backing => _backing;

    /// <summary>The header.</summary>
    internal Qcow2Header Header => _header;

    private ulong ClusterSize => _header.ClusterSize;

    private int EntriesATable => 1 << (_header.ClusterBits - 3);

    /// <summary>Takes an open, locked file over.</summary>
    /// <param name="file">The file.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="openBacking">Opens the backing image for reading: its name as it stands in the header, and its format.</param>
    /// <exception cref="StorageException">It is damaged, or not supported.</exception>
    internal static Qcow2Image Open(BlockFile file, bool writable, Func<string, string?, DiskImage?> openBacking)
    {
        Qcow2Header header = Qcow2Header.Read(file);
        if (writable && (header.IsDirty || header.IsCorrupt || header.RefcountOrder != 4))
        {
            string reason = header.IsCorrupt ? "is marked as corrupt" : header.IsDirty ? "was not closed properly" : "has reference counts of an unusual width";
            throw new StorageException($"'{file.Path}' {reason} and is not written to. 'qemu-img check -r all' repairs, and 'qemu-img convert' copies it.");
        }

        if (header.UsesZstd && !ZstdDecoder.IsAvailable)
        {
            throw new StorageException($"'{file.Path}' is compressed with zstd, and this host has no libzstd.so.1. On Debian and its relatives: apt-get install libzstd1");
        }

        byte[] bytes = new byte[checked((int)header.L1Size * 8)];
        if (bytes.Length > 0 && file.ReadAt(header.L1Offset, bytes.AsSpan()) is var error and not 0)
        {
            throw new StorageException($"'{file.Path}': its tables cannot be read: {new SystemCallException("read", error).Reason}.");
        }

        ulong[] l1 = new ulong[header.L1Size];
        for (int i = 0; i < l1.Length; i++)
        {
            l1[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        Qcow2Refcounts? refcounts = null;
        if (writable)
        {
            refcounts = Qcow2Refcounts.Open(file, header) ?? throw new StorageException($"'{file.Path}': its reference counts cannot be read.");

            // The tables of a full disk, and what is in the file now.
            ulong clusters = (header.Length >> header.ClusterBits) + (ulong)l1.Length + (file.GetLength() >> header.ClusterBits) + 16;
            if (refcounts.Capacity < clusters)
            {
                throw new StorageException($"'{file.Path}' has a table of reference counts that is too small for its disk, so it cannot be written to. 'qemu-img convert' makes one that is not.");
            }
        }

        DiskImage? backing = header.BackingName == null ? null : openBacking(header.BackingName, header.BackingFormat);
        Qcow2Image image = new(file, header, refcounts, backing, l1);
        if (writable && header.AutoclearFeatures != 0)
        {
            // Whatever they say of the image will not be true any more.
            _ = file.WriteAt(Qcow2Header.AutoclearOffset, stackalloc byte[8]);
        }

        return image;
    }

    /// <inheritdoc/>
    internal override FileCopy BeginCopy(BlockFile target) => FileCopy.Begin(_file, target);

    /// <inheritdoc/>
    public override int Read(ulong offset, ReadOnlySpan<IoVector> buffers)
    {
        _lock.EnterReadLock();
        try
        {
            return ReadLocked(offset, buffers);
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    /// <inheritdoc/>
    public override int Flush()
    {
        if (IsReadOnly)
        {
            return 0;
        }

        _lock.EnterWriteLock();
        try
        {
            int error = WriteBack();
            return error != 0 ? error : _file.Synchronize();
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    /// <inheritdoc/>
    public override int GetExtent(ulong offset, out DiskExtent extent)
    {
        extent = default;
        _lock.EnterReadLock();
        try
        {
            int error = FindRun(offset, Length - offset, out ulong entry, out ulong run);
            if (error != 0)
            {
                return error;
            }

            bool data = (entry & OffsetMask) != 0 && ((entry & Compressed) != 0 || (entry & Zero) == 0);
            if (entry == 0 && _backing != null && offset < _backing.Length)
            {
                error = _backing.GetExtent(offset, out DiskExtent below);
                extent = below with { Length = Math.Min(run, below.Length), IsAllocated = false, Depth = below.Depth + 1 };
                return error;
            }

            long place = data && (entry & Compressed) == 0 ? (long)((entry & OffsetMask) + (offset & (ClusterSize - 1))) : -1;
            extent = new DiskExtent(run, !data, entry != 0, place, 0);
            return 0;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _ = Flush();
        _file.Dispose();
        _backing?.Dispose();
        _lock.Dispose();
    }

    private static ulong Sum(ReadOnlySpan<IoVector> buffers)
    {
        ulong sum = 0;
        foreach (IoVector buffer in buffers)
        {
            sum += buffer.Length;
        }

        return sum;
    }

    private static bool IsOwn(ulong entry) => (entry & (Copied | Compressed | Zero)) == Copied && (entry & OffsetMask) != 0;

    private int TableIndex(ulong offset) => (int)(offset >> (_header.ClusterBits + _header.ClusterBits - 3));

    private int EntryIndex(ulong offset) => (int)(offset >> _header.ClusterBits) & (EntriesATable - 1);

    private int ReadLocked(ulong offset, ReadOnlySpan<IoVector> buffers)
    {
        Span<IoVector> part = stackalloc IoVector[MaximumVectors];
        ulong length = Sum(buffers);
        for (ulong done = 0; done < length;)
        {
            int error = FindRun(offset + done, length - done, out ulong entry, out ulong run);
            if (error != 0)
            {
                return error;
            }

            int count = VectorSlice.Take(buffers, done, run, part);
            error = ReadRun(entry, offset + done, run, part[..count]);
            if (error != 0)
            {
                return error;
            }

            done += run;
        }

        return 0;
    }

    private int ReadRun(ulong entry, ulong offset, ulong length, ReadOnlySpan<IoVector> buffers)
    {
        if ((entry & Compressed) != 0)
        {
            byte[] content = new byte[(int)ClusterSize];
            int error = Qcow2Compression.Read(_file, _header, entry, content);
            if (error == 0)
            {
                VectorSlice.CopyTo(content, (int)(offset & (ClusterSize - 1)), buffers);
            }

            return error;
        }

        if ((entry & Zero) == 0 && (entry & OffsetMask) != 0)
        {
            return _file.ReadAt((entry & OffsetMask) + (offset & (ClusterSize - 1)), buffers);
        }

        if ((entry & Zero) != 0 || _backing == null || offset >= _backing.Length)
        {
            VectorSlice.Clear(buffers);
            return 0;
        }

        // A backing image may be shorter.
        Span<IoVector> part = stackalloc IoVector[MaximumVectors];
        ulong there = Math.Min(length, _backing.Length - offset);
        int count = VectorSlice.Take(buffers, 0, there, part);
        int backingError = _backing.Read(offset, part[..count]);
        count = VectorSlice.Take(buffers, there, length - there, part);
        VectorSlice.Clear(part[..count]);
        return backingError;
    }

    // How far from an offset the disk is of one kind, and if it lies in the file, without a gap there.
    private int FindRun(ulong offset, ulong length, out ulong entry, out ulong run)
    {
        run = Math.Min(length, ClusterSize - (offset & (ClusterSize - 1)));
        int error = GetEntry(offset, out entry);
        if (error != 0 || (entry & Compressed) != 0)
        {
            return error;
        }

        while (run < length)
        {
            ulong next = offset + run;
            if (GetEntry(next, out ulong follower) != 0)
            {
                break;
            }

            ulong passed = (next & ~(ClusterSize - 1)) - (offset & ~(ClusterSize - 1));
            bool inFile = (entry & OffsetMask) != 0 && (entry & Zero) == 0;
            if (follower != (inFile ? entry + passed : entry) || (!inFile && (entry & OffsetMask) != 0))
            {
                break;
            }

            run += Math.Min(length - run, ClusterSize);
        }

        return 0;
    }

    private int GetEntry(ulong offset, out ulong entry)
    {
        entry = 0;
        int error = LoadTable(TableIndex(offset), out Table? table);
        if (error == 0 && table != null)
        {
            entry = table.Entries[EntryIndex(offset)];
            entry = _header.Version < 3 && (entry & Compressed) == 0 ? entry & ~Zero : entry;
            if ((entry & Compressed) == 0 && ((entry & OffsetMask) & (ClusterSize - 1)) != 0)
            {
                error = ErrorNumber.InputOutput;
            }
        }

        return error;
    }
}
