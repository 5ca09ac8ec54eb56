using System.Buffers.Binary;
using Lamina.Interop;

namespace Lamina.Storage.Qcow2;

/// <content>What changes an image as a whole: its length, its backing image, and going back to a snapshot.</content>
internal sealed partial class Qcow2Image
{
    private const int LengthOffset = 24;
    private const int L1SizeOffset = 36;
    private const int RefcountTableOffset = 48;
    private const ulong Reserved = 64;
    private const ulong MaximumL1Entries = 4 << 20;

    /// <inheritdoc/>
    public override int Resize(ulong length)
    {
        if (IsReadOnly)
        {
            return ErrorNumber.BadDescriptor;
        }

        ulong old = Length;
        ulong perTable = (ulong)EntriesATable << _header.ClusterBits;
        if (length == 0 || length % 512 != 0 || length > Qcow2Creation.MaximumLength || (length + perTable - 1) / perTable > MaximumL1Entries)
        {
            return ErrorNumber.InvalidArgument;
        }

        // A snapshot's tables would not fit the disk any more.
        if (length < old && _header.SnapshotCount != 0)
        {
            return ErrorNumber.NotSupported;
        }

        if (length < old)
        {
            int error = ForgetEnd(length, old);
            return error != 0 ? error : ChangeLength(length);
        }

        int grown = GrowTables(length);
        grown = grown != 0 ? grown : ChangeLength(length);

        // What a longer backing image has there was not this disk's.
        return grown == 0 && _backing != null && _backing.Length > old ? WriteZeroes(old, Math.Min(length, _backing.Length) - old, mayDiscard: true) : grown;
    }

    /// <summary>The internal snapshots.</summary>
    /// <exception cref="StorageException">Their table is damaged.</exception>
    public IReadOnlyList<Qcow2Snapshot> GetSnapshots() => Qcow2Snapshot.ReadAll(_file, _header, out ulong _);

    /// <summary>Makes the disk what it was when a snapshot was taken. The snapshot stays.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Apply(Qcow2Snapshot snapshot)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = WriteBack();
            error = error != 0 ? error : _file.Synchronize();
            ulong[] table = new ulong[snapshot.L1Size];
            error = error != 0 ? error : ReadTable(snapshot.L1Offset, table);
            error = error != 0 ? error : ForEachReference(table, _refcounts!.Add);
            if (error != 0)
            {
                return error;
            }

            ulong[] old = _l1;
            ulong oldPlace = _header.L1Offset;
            for (int i = 0; i < table.Length; i++)
            {
                // Nothing is this disk's alone now: each table is the snapshot's, too.
                table[i] &= OffsetMask;
            }

            ulong needed = (snapshot.DiskLength + ((ulong)EntriesATable << _header.ClusterBits) - 1) / ((ulong)EntriesATable << _header.ClusterBits);
            if ((ulong)table.Length < needed)
            {
                return ErrorNumber.InputOutput;
            }

            error = MoveL1(table, snapshot.DiskLength);
            error = error != 0 ? error : ForEachReference(old, Decrease);
            error = error != 0 ? error : ReleaseRun(oldPlace, (ulong)old.Length * 8);
            error = error != 0 ? error : _refcounts!.WriteBack();
            return error != 0 ? error : _file.Synchronize();
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    /// <summary>Makes another image the backing one, without looking at what either holds. The image is to be closed then.</summary>
    /// <returns>0, or an errno value: ENAMETOOLONG if the header has no place for the name.</returns>
    public int ChangeBacking(string? name, DiskFormat format)
    {
        int error = Flush();
        byte[] cluster = new byte[(int)ClusterSize];
        error = error != 0 ? error : _file.ReadAt(0, cluster.AsSpan());
        byte[]? changed = Qcow2Header.ReplaceBacking(cluster, name, format);
        error = error != 0 ? error : changed == null ? ErrorNumber.NameTooLong : _file.WriteAt(0, changed.AsSpan());
        return error != 0 ? error : _file.Synchronize();
    }

    /// <summary>Forgets all that this image holds, so that everything is the backing image's.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Clear()
    {
        _lock.EnterWriteLock();
        try
        {
            for (int i = 0; i < _l1.Length; i++)
            {
                if ((_l1[i] & OffsetMask) == 0)
                {
                    continue;
                }

                int error = PrepareTable(i, out Table table);
                for (int n = 0; error == 0 && n < table.Entries.Length; n++)
                {
                    ulong entry = table.Entries[n];
                    if (entry != 0)
                    {
                        SetEntry(table, n, 0);
                        Release(entry);
                    }
                }

                error = error != 0 || !HasMuchToWrite ? error : WriteBack();
                if (error != 0)
                {
                    return error;
                }
            }

            return WriteBack();
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    // What lies behind a new end reads as zeroes should the disk grow again.
    private int ForgetEnd(ulong length, ulong old)
    {
        ulong boundary = Math.Min((length + ClusterSize - 1) & ~(ClusterSize - 1), old);
        int error = GetExtent(length, out DiskExtent extent);
        error = error == 0 && boundary > length && extent is { IsAllocated: true, IsZero: false } ? WriteZeroBytes(length, boundary - length) : error;
        for (ulong at = boundary; error == 0 && at < old; at += ClusterSize)
        {
            error = ForgetAtEnd(at);
        }

        return error != 0 ? error : Flush();
    }

    private int ForgetAtEnd(ulong offset)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = GetEntry(offset, out ulong entry);
            if (error != 0 || entry == 0)
            {
                return error;
            }

            error = PrepareTable(TableIndex(offset), out Table table);
            if (error == 0)
            {
                SetEntry(table, offset, 0);
                Release(entry);
            }

            return error == 0 && HasMuchToWrite ? WriteBack() : error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int GrowTables(ulong length)
    {
        _lock.EnterWriteLock();
        try
        {
            int error = WriteBack();
            ulong perTable = (ulong)EntriesATable << _header.ClusterBits;
            ulong tables = (length + perTable - 1) / perTable;
            ulong clusters = (length >> _header.ClusterBits) + tables + (_file.GetLength() >> _header.ClusterBits) + Reserved;
            clusters += clusters / (ClusterSize / 2);
            error = error != 0 ? error : _refcounts!.Grow(clusters, ChangeRefcountTable);
            if (error != 0 || tables <= (ulong)_l1.Length)
            {
                return error;
            }

            ulong[] grown = new ulong[tables];
            _l1.CopyTo(grown, 0);
            ulong oldPlace = _header.L1Offset;
            ulong oldLength = (ulong)_l1.Length * 8;
            error = MoveL1(grown, Length);
            error = error != 0 ? error : ReleaseRun(oldPlace, oldLength);
            return error != 0 ? error : _refcounts!.WriteBack();
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    // Puts an L1 table at a new place; the header refers to the one or the other.
    private int MoveL1(ulong[] table, ulong length)
    {
        byte[] bytes = new byte[table.Length * 8];
        for (int i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }

        int error = _refcounts!.AllocateRun(Math.Max(1, ((ulong)bytes.Length + ClusterSize - 1) / ClusterSize), out ulong place);
        error = error != 0 ? error : _file.WriteAt(place, bytes.AsSpan());
        error = error != 0 ? error : _refcounts.WriteBack();
        error = error != 0 ? error : _file.Synchronize();
        if (error != 0)
        {
            return error;
        }

        // Bytes 24 to 47: the disk's length, no encryption, and the table's size and place.
        Span<byte> fields = stackalloc byte[24];
        BinaryPrimitives.WriteUInt64BigEndian(fields, length);
        BinaryPrimitives.WriteUInt32BigEndian(fields[(L1SizeOffset - LengthOffset)..], (uint)table.Length);
        BinaryPrimitives.WriteUInt64BigEndian(fields[(L1SizeOffset - LengthOffset + 4)..], place);
        error = _file.WriteAt(LengthOffset, fields);
        error = error != 0 ? error : _file.Synchronize();
        if (error == 0)
        {
            _header.Length = length;
            _header.L1Offset = place;
            _header.L1Size = (uint)table.Length;
            _l1 = table;
            _l1Dirty = new bool[table.Length];
            lock (_tablesLock)
            {
                _tables.Clear();
                _dirtyTables = 0;
            }
        }

        return error;
    }

    private int ChangeLength(ulong length)
    {
        Span<byte> field = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(field, length);
        _lock.EnterWriteLock();
        try
        {
            int error = _file.WriteAt(LengthOffset, field);
            error = error != 0 ? error : _file.Synchronize();
            if (error == 0)
            {
                _header.Length = length;
            }

            return error;
        }
        finally
        {
            _lock.ExitWriteLock();
        }
    }

    private int ChangeRefcountTable(ulong offset, uint clusters)
    {
        Span<byte> fields = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64BigEndian(fields, offset);
        BinaryPrimitives.WriteUInt32BigEndian(fields[8..], clusters);
        int error = _file.WriteAt(RefcountTableOffset, fields);
        if (error == 0)
        {
            _header.RefcountTableOffset = offset;
            _header.RefcountTableClusters = clusters;
        }

        return error;
    }

    private int ReadTable(ulong offset, ulong[] entries)
    {
        byte[] bytes = new byte[entries.Length * 8];
        int error = _file.ReadAt(offset, bytes.AsSpan());
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        return error;
    }

    // Each table that an L1 table refers to, and each cluster that they refer to.
    private int ForEachReference(ulong[] l1, Func<ulong, int> action)
    {
        ulong[] entries = new ulong[EntriesATable];
        foreach (ulong top in l1)
        {
            ulong place = top & OffsetMask;
            if (place == 0)
            {
                continue;
            }

            int error = (place & (ClusterSize - 1)) != 0 ? ErrorNumber.InputOutput : ReadTable(place, entries);
            error = error != 0 ? error : action(place);
            for (int i = 0; error == 0 && i < entries.Length; i++)
            {
                ulong entry = entries[i];
                if ((entry & Compressed) != 0)
                {
                    (ulong first, int length) = Qcow2Compression.Locate(_header, entry);
                    for (ulong at = first & ~(ClusterSize - 1); error == 0 && at < first + (ulong)length; at += ClusterSize)
                    {
                        error = action(at);
                    }
                }
                else if ((entry & OffsetMask) != 0)
                {
                    error = action(entry & OffsetMask);
                }
            }

            if (error != 0)
            {
                return error;
            }
        }

        return 0;
    }

    private int Decrease(ulong offset) => _refcounts!.Release(offset & ~(ClusterSize - 1), out bool _);

    private int ReleaseRun(ulong offset, ulong length)
    {
        int error = 0;
        for (ulong at = offset; error == 0 && at < offset + Math.Max(length, 1); at += ClusterSize)
        {
            error = Decrease(at);
        }

        return error;
    }
}
