using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>
/// A qcow2 image. Changes of tables and counts stay in memory and are written in an order that leaves the file whole wherever it is cut off: data and counts first, then the tables that
/// refer to them, and what became free last. Reading, and writing to clusters that are this image's alone, goes on side by side; everything that changes a table is alone.
/// </summary>
internal sealed class Qcow2Image : DiskImage
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const ulong Zero = 1;
    private const int MaximumVectors = 512;
    private const int MaximumCleanTables = 128;
    private const int MaximumDirtyTables = 64;

    private readonly BlockFile _file;
    private readonly Qcow2Header _header;
    private readonly Qcow2Refcounts? _refcounts;
    private readonly DiskImage? _backing;
    private readonly ulong[] _l1;
    private readonly bool[] _l1Dirty;
    private readonly Dictionary<int, Table> _tables = [];
    private readonly Lock _tablesLock = new();
    private readonly ReaderWriterLockSlim _lock = new();
    private readonly List<(ulong Offset, ulong Length)> _released = [];
    private readonly byte[] _cluster;

    private Qcow2Image(BlockFile file, Qcow2Header header, Qcow2Refcounts? refcounts, DiskImage? backing, ulong[] l1)
    {
        _file = file;
        _header = header;
        _refcounts = refcounts;
        _backing = backing;
        _l1 = l1;
        _l1Dirty = new bool[l1.Length];
        _cluster = GC.AllocateArray<byte>((int)header.ClusterSize, pinned: true);
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

    /// <summary>The header.</summary>
    internal Qcow2Header Header => _header;

    private ulong ClusterSize => _header.ClusterSize;

    private int EntriesATable => 1 << (_header.ClusterBits - 3);

    /// <summary>Takes an open, locked file over.</summary>
    /// <param name="file">The file.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="openBacking">Opens the backing image for reading: its name as it stands in the header, and its format.</param>
    /// <exception cref="StorageException">It is damaged, or not supported.</exception>
    internal static Qcow2Image Open(BlockFile file, bool writable, Func<string, string?, DiskImage> openBacking)
    {
        Qcow2Header header = Qcow2Header.Read(file);
        if (writable && (header.IsDirty || header.IsCorrupt || header.RefcountOrder != 4))
        {
            string reason = header.IsCorrupt ? "is marked as corrupt" : header.IsDirty ? "was not closed properly" : "has reference counts of an unusual width";
            throw new StorageException($"'{file.Path}' {reason} and is not written to. 'qemu-img check -r all' repairs, and 'qemu-img convert' copies it.");
        }

        byte[] bytes = new byte[checked((int)header.L1Size * 8)];
        if (bytes.Length > 0 && file.ReadAt(header.L1Offset, bytes.AsSpan()) != 0)
        {
            throw new StorageException($"'{file.Path}': its tables cannot be read.");
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
    public override int Write(ulong offset, ReadOnlySpan<IoVector> buffers)
    {
        if (IsReadOnly)
        {
            return ErrorNumber.BadDescriptor;
        }

        Span<IoVector> part = stackalloc IoVector[MaximumVectors];
        ulong length = Sum(buffers);
        ulong done = 0;
        while (done < length)
        {
            int error;
            ulong run;
            _lock.EnterReadLock();
            try
            {
                error = FindRun(offset + done, length - done, out ulong entry, out run);
                if (error == 0 && IsOwn(entry))
                {
                    int count = VectorSlice.Take(buffers, done, run, part);
                    error = _file.WriteAt((entry & OffsetMask) + ((offset + done) & (ClusterSize - 1)), part[..count]);
                    done += run;
                    run = 0;
                }
            }
            finally
            {
                _lock.ExitReadLock();
            }

            if (error == 0 && run != 0)
            {
                ulong step = Math.Min(length - done, ClusterSize - ((offset + done) & (ClusterSize - 1)));
                int count = VectorSlice.Take(buffers, done, step, part);
                error = Change(offset + done, part[..count], step);
                done += step;
            }

            if (error != 0)
            {
                return error;
            }
        }

        return 0;
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
    public override int Discard(ulong offset, ulong length) => Forget(offset, length, mustZero: false, mayDiscard: true);

    /// <inheritdoc/>
    public override int WriteZeroes(ulong offset, ulong length, bool mayDiscard) => Forget(offset, length, mustZero: true, mayDiscard);

    /// <inheritdoc/>
    public override bool TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        if (!_lock.TryEnterReadLock(0))
        {
            return false;
        }

        try
        {
            bool known;
            lock (_tablesLock)
            {
                known = _tables.ContainsKey(TableIndex(offset));
            }

            return known
                && FindRun(offset, length, out ulong entry, out ulong run) == 0
                && run >= length && (entry & Compressed) == 0 && (entry & Zero) == 0 && (entry & OffsetMask) != 0
                && _file.TryReadNow((entry & OffsetMask) + (offset & (ClusterSize - 1)), buffers, length) == 0;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    /// <inheritdoc/>
    public override bool TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length) => false;

    /// <inheritdoc/>
    public override int Resize(ulong length) => ErrorNumber.NotSupported;

    /// <inheritdoc/>
    public override DiskExtent GetExtent(ulong offset)
    {
        _lock.EnterReadLock();
        try
        {
            _ = FindRun(offset, Length - offset, out ulong entry, out ulong run);
            bool data = (entry & OffsetMask) != 0 && (entry & Zero) == 0;
            if (entry == 0 && _backing != null && offset < _backing.Length)
            {
                DiskExtent below = _backing.GetExtent(offset);
                return new DiskExtent(Math.Min(run, below.Length), below.IsZero, false, -1);
            }

            return new DiskExtent(run, !data, entry != 0, data && (entry & Compressed) == 0 ? (long)((entry & OffsetMask) + (offset & (ClusterSize - 1))) : -1);
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
            int error = Decompress(entry, content);
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

    private int Decompress(ulong entry, byte[] content)
    {
        int bits = 62 - (_header.ClusterBits - 8);
        ulong offset = entry & ((1UL << bits) - 1);
        int sectors = (int)((entry & ~(Copied | Compressed)) >> bits) + 1;
        byte[] packed = new byte[(sectors * 512) - (int)(offset & 511)];
        int error = _file.ReadAt(offset, packed.AsSpan());
        if (error != 0)
        {
            return error;
        }

        try
        {
            using MemoryStream stream = new(packed);
            using DeflateStream inflated = new(stream, CompressionMode.Decompress);
            return inflated.ReadAtLeast(content, content.Length, throwOnEndOfStream: false) == content.Length ? 0 : ErrorNumber.InputOutput;
        }
        catch (InvalidDataException)
        {
            return ErrorNumber.InputOutput;
        }
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

    private int LoadTable(int index, out Table? table)
    {
        lock (_tablesLock)
        {
            if (_tables.TryGetValue(index, out table))
            {
                return 0;
            }

            ulong offset = _l1[index] & OffsetMask;
            if (offset == 0)
            {
                return 0;
            }

            byte[] bytes = new byte[(int)ClusterSize];
            int error = (offset & (ClusterSize - 1)) != 0 ? ErrorNumber.InputOutput : _file.ReadAt(offset, bytes.AsSpan());
            if (error != 0)
            {
                return error;
            }

            table = new Table { Offset = offset, Entries = new ulong[EntriesATable] };
            for (int i = 0; i < table.Entries.Length; i++)
            {
                table.Entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
            }

            MakeRoom();
            _tables.Add(index, table);
            return 0;
        }
    }

    private void MakeRoom()
    {
        if (_tables.Count < MaximumCleanTables + MaximumDirtyTables)
        {
            return;
        }

        foreach ((int index, Table table) in _tables)
        {
            if (!table.IsDirty)
            {
                _tables.Remove(index);
                return;
            }
        }
    }

    // Writes at most one cluster that is not this image's alone yet.
    private int Change(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = PrepareTable(TableIndex(offset), out Table table);
            error = error != 0 ? error : GetEntry(offset, out ulong _);
            if (error != 0)
            {
                return error;
            }

            ulong entry = table.Entries[EntryIndex(offset)];
            ulong inside = offset & (ClusterSize - 1);
            if (IsOwn(entry))
            {
                // Somebody else was here first.
                return _file.WriteAt((entry & OffsetMask) + inside, buffers);
            }

            // A cluster that reads as zeroes and kept its space takes it up again.
            bool kept = (entry & (Copied | Compressed)) == Copied && (entry & OffsetMask) != 0;
            ulong place = entry & OffsetMask;
            error = kept ? 0 : _refcounts!.Allocate(out place);
            if (error == 0 && length == ClusterSize)
            {
                error = _file.WriteAt(place, buffers);
            }
            else if (error == 0)
            {
                IoVector whole = new(Marshal.UnsafeAddrOfPinnedArrayElement(_cluster, 0), (nuint)ClusterSize);
                ulong start = offset - inside;
                ulong available = Math.Min(ClusterSize, Length - start);
                Array.Clear(_cluster);
                error = ReadLocked(start, [whole with { Length = (nuint)available }]);
                VectorSlice.CopyFrom(buffers, _cluster, (int)inside);
                error = error != 0 ? error : _file.WriteAt(place, _cluster.AsSpan());
            }

            if (error != 0)
            {
                if (!kept && place != 0)
                {
                    _refcounts!.Release(place, out bool _);
                }

                return error;
            }

            SetEntry(table, offset, place | Copied);
            if (!kept)
            {
                Release(entry);
            }

            return CountDirty() > MaximumDirtyTables ? WriteBack() : 0;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int Forget(ulong offset, ulong length, bool mustZero, bool mayDiscard)
    {
        if (IsReadOnly)
        {
            return ErrorNumber.BadDescriptor;
        }

        ulong end = offset + length;
        while (offset < end)
        {
            ulong step = Math.Min(end - offset, ClusterSize - (offset & (ClusterSize - 1)));
            bool whole = step == ClusterSize || ((offset & (ClusterSize - 1)) == 0 && offset + step == Length);
            int error = whole && (_header.Version >= 3 || _backing == null) ? ForgetCluster(offset, mayDiscard) : mustZero ? WriteZeroBytes(offset, step) : 0;
            if (error != 0)
            {
                return error;
            }

            offset += step;
        }

        return 0;
    }

    private int ForgetCluster(ulong offset, bool mayDiscard)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = GetEntry(offset, out ulong entry);
            ulong wanted = _backing != null && _header.Version >= 3 ? Zero : 0;
            if (error != 0 || entry == wanted || (entry == 0 && _backing == null) || (entry == Zero && wanted == 0))
            {
                return error;
            }

            error = PrepareTable(TableIndex(offset), out Table table);
            if (error != 0)
            {
                return error;
            }

            if (!mayDiscard && _header.Version >= 3 && (entry & (Copied | Compressed)) == Copied)
            {
                SetEntry(table, offset, entry | Zero);
                return 0;
            }

            SetEntry(table, offset, wanted);
            Release(entry);
            return CountDirty() > MaximumDirtyTables ? WriteBack() : 0;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int WriteZeroBytes(ulong offset, ulong length)
    {
        byte[] zeroes = GC.AllocateArray<byte>((int)length, pinned: true);
        return Write(offset, [new IoVector(Marshal.UnsafeAddrOfPinnedArrayElement(zeroes, 0), (nuint)length)]);
    }

    private static void SetEntry(Table table, int index, ulong entry)
    {
        table.Entries[index] = entry;
        table.IsDirty = true;
    }

    private void SetEntry(Table table, ulong offset, ulong entry) => SetEntry(table, EntryIndex(offset), entry);

    // A table that may be changed: one of this image alone, made or copied if need be.
    private int PrepareTable(int index, out Table table)
    {
        int error = LoadTable(index, out Table? found);
        table = found!;
        if (error != 0 || (found != null && (_l1[index] & Copied) != 0))
        {
            return error;
        }

        error = _refcounts!.Allocate(out ulong place);
        if (error != 0)
        {
            return error;
        }

        Release(_l1[index] & OffsetMask);
        table = new Table { Offset = place, Entries = found?.Entries ?? new ulong[EntriesATable], IsDirty = true };
        _l1[index] = place | Copied;
        _l1Dirty[index] = true;
        lock (_tablesLock)
        {
            _tables[index] = table;
        }

        return 0;
    }

    // What an entry refers to is no longer used, once the table without it is written.
    private void Release(ulong entry)
    {
        if ((entry & Compressed) != 0)
        {
            int bits = 62 - (_header.ClusterBits - 8);
            ulong start = entry & ((1UL << bits) - 1);
            ulong sectors = ((entry & ~(Copied | Compressed)) >> bits) + 1;
            ulong last = (start & ~511UL) + (sectors * 512) - 1;
            for (ulong cluster = start & ~(ClusterSize - 1); cluster <= last; cluster += ClusterSize)
            {
                _released.Add((cluster, ClusterSize));
            }
        }
        else if ((entry & OffsetMask) != 0)
        {
            _released.Add((entry & OffsetMask, ClusterSize));
        }
    }

    private int CountDirty()
    {
        int count = _released.Count > 4096 ? MaximumDirtyTables + 1 : 0;
        lock (_tablesLock)
        {
            foreach (Table table in _tables.Values)
            {
                count += table.IsDirty ? 1 : 0;
            }
        }

        return count;
    }

    private int WriteBack()
    {
        bool dirty = CountDirty() > 0 || _released.Count > 0;
        if (!dirty)
        {
            return 0;
        }

        // After a write that failed half-way nothing is known of the file's tables: the memory's are still right, and are tried again.
        int error = _refcounts!.WriteBack();
        error = error != 0 ? error : _file.Synchronize();
        error = error != 0 ? error : WriteTables();
        error = error != 0 ? error : WriteReleased();
        return error;
    }

    private int WriteTables()
    {
        byte[] bytes = new byte[(int)ClusterSize];
        lock (_tablesLock)
        {
            foreach (Table table in _tables.Values)
            {
                if (!table.IsDirty)
                {
                    continue;
                }

                for (int i = 0; i < table.Entries.Length; i++)
                {
                    BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table.Entries[i]);
                }

                int error = _file.WriteAt(table.Offset, bytes.AsSpan());
                if (error != 0)
                {
                    return error;
                }

                table.IsDirty = false;
            }
        }

        bool synchronized = false;
        for (int i = 0; i < _l1.Length; i++)
        {
            if (_l1Dirty[i])
            {
                int error = synchronized ? 0 : _file.Synchronize();
                synchronized = true;
                BinaryPrimitives.WriteUInt64BigEndian(bytes, _l1[i]);
                error = error != 0 ? error : _file.WriteAt(_header.L1Offset + ((ulong)i * 8), bytes.AsSpan(0, 8));
                if (error != 0)
                {
                    return error;
                }

                _l1Dirty[i] = false;
            }
        }

        return 0;
    }

    private int WriteReleased()
    {
        if (_released.Count == 0)
        {
            return 0;
        }

        int error = _file.Synchronize();
        if (error != 0)
        {
            return error;
        }

        foreach ((ulong offset, ulong length) in _released)
        {
            if (_refcounts!.Release(offset, out bool isFree) == 0 && isFree)
            {
                _ = _file.Discard(offset, length);
            }
        }

        _released.Clear();
        return _refcounts!.WriteBack();
    }

    private sealed class Table
    {
        public required ulong Offset { get; init; }

        public required ulong[] Entries { get; init; }

        public bool IsDirty { get; set; }
    }
}
