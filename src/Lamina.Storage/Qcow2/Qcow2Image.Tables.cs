using System.Buffers.Binary;
using Lamina.Interop;

namespace Lamina.Storage.Qcow2;

/// <content>The tables that map the disk to the file, kept in memory as far as they were needed, and their way back into the file.</content>
internal sealed partial class Qcow2Image
{
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

    private void SetEntry(Table table, int index, ulong entry)
    {
        table.Entries[index] = entry;
        MarkDirty(table, index, index);
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
        table = new Table { Offset = place, Entries = found?.Entries ?? new ulong[EntriesATable] };
        if (found is { IsDirty: true })
        {
            _dirtyTables--;
        }

        MarkDirty(table, 0, EntriesATable - 1);
        _l1[index] = place | Copied;
        _l1Dirty[index] = true;
        _hasDirtyEntries = true;
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

    // So much has changed that it is time to write it.
    private bool HasMuchToWrite => _dirtyTables > MaximumDirtyTables || _released.Count > MaximumReleased;

    // Tables may be written whose entries in the first level are not, because that failed.
    private bool HasToWriteBack => _dirtyTables != 0 || _hasDirtyEntries || _released.Count != 0;

    private void MarkDirty(Table table, int first, int last)
    {
        _dirtyTables += table.IsDirty ? 0 : 1;
        table.DirtyFirst = Math.Min(table.DirtyFirst, first);
        table.DirtyLast = Math.Max(table.DirtyLast, last);
    }

    private int WriteBack()
    {
        if (!HasToWriteBack)
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
        const int EntriesASector = 64;
        Span<byte> bytes = _tableBytes;
        lock (_tablesLock)
        {
            foreach (Table table in _tables.Values)
            {
                if (!table.IsDirty)
                {
                    continue;
                }

                int first = table.DirtyFirst & ~(EntriesASector - 1);
                int last = Math.Min((table.DirtyLast | (EntriesASector - 1)) + 1, table.Entries.Length);
                for (int i = first; i < last; i++)
                {
                    BinaryPrimitives.WriteUInt64BigEndian(bytes[(i * 8)..], table.Entries[i]);
                }

                int error = _file.WriteAt(table.Offset + ((ulong)first * 8), bytes[(first * 8)..(last * 8)]);
                if (error != 0)
                {
                    return error;
                }

                table.DirtyFirst = int.MaxValue;
                table.DirtyLast = -1;
                _dirtyTables--;
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
                error = error != 0 ? error : _file.WriteAt(_header.L1Offset + ((ulong)i * 8), bytes[..8]);
                if (error != 0)
                {
                    return error;
                }

                _l1Dirty[i] = false;
            }
        }

        _hasDirtyEntries = false;
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

        WaitForRing();
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

        public int DirtyFirst { get; set; } = int.MaxValue;

        public int DirtyLast { get; set; } = -1;

        public bool IsDirty => DirtyLast >= 0;
    }
}
