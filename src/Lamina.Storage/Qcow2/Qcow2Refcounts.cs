using System.Buffers.Binary;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>
/// The reference counts of an image's clusters, of 16 bits, kept in memory as far as they were needed and written by <see cref="WriteBack"/>. Under the image's lock for changes.
/// </summary>
internal sealed class Qcow2Refcounts
{
    // QEMU's limit, too: a table of 8 MiB.
    private const ulong MaximumEntries = 1 << 20;
    private readonly BlockFile _file;
    private readonly int _clusterBits;
    private ulong _tableOffset;
    private ulong[] _table;
    private readonly Dictionary<int, Block> _blocks = [];
    private readonly byte[] _bytes;
    private ulong _hint;

    private Qcow2Refcounts(BlockFile file, Qcow2Header header, ulong[] table)
    {
        _file = file;
        _clusterBits = header.ClusterBits;
        _tableOffset = header.RefcountTableOffset;
        _table = table;
        _bytes = GC.AllocateUninitializedArray<byte>(1 << header.ClusterBits);
    }

    private int EntriesABlock => 1 << (_clusterBits - 1);

    /// <summary>Most clusters that the table can count.</summary>
    public ulong Capacity => (ulong)_table.Length * (ulong)EntriesABlock;

    /// <summary>Reads the table.</summary>
    public static Qcow2Refcounts? Open(BlockFile file, Qcow2Header header)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)(header.RefcountTableClusters << header.ClusterBits));
        if (file.ReadAt(header.RefcountTableOffset, bytes.AsSpan()) != 0)
        {
            return null;
        }

        ulong[] table = new ulong[bytes.Length / 8];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }

        return new Qcow2Refcounts(file, header, table);
    }

    /// <summary>Finds a free cluster and counts it once.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Allocate(out ulong offset)
    {
        offset = 0;
        for (ulong cluster = _hint; cluster < Capacity; cluster++)
        {
            int error = Load(cluster, create: true, out Block? block);
            if (error != 0)
            {
                return error;
            }

            if (block!.Counts[(int)(cluster % (ulong)EntriesABlock)] == 0)
            {
                Set(block, cluster, 1);
                _hint = cluster + 1;
                offset = cluster << _clusterBits;
                return 0;
            }
        }

        return ErrorNumber.NoSpace;
    }

    /// <summary>Finds free clusters that lie side by side, and counts each once.</summary>
    /// <returns>0, or an errno value.</returns>
    public int AllocateRun(ulong count, out ulong offset)
    {
        offset = 0;
        ulong found = 0;
        for (ulong cluster = 0; cluster < Capacity; cluster++)
        {
            int error = Load(cluster, create: true, out Block? block);
            if (error != 0)
            {
                return error;
            }

            found = block!.Counts[(int)(cluster % (ulong)EntriesABlock)] == 0 ? found + 1 : 0;
            if (found == count)
            {
                ulong first = cluster + 1 - count;
                offset = first << _clusterBits;
                for (ulong i = 0; i < count; i++)
                {
                    error = Load(first + i, create: true, out block);
                    if (error != 0)
                    {
                        return error;
                    }

                    Set(block!, first + i, 1);
                }

                return 0;
            }
        }

        return ErrorNumber.NoSpace;
    }

    /// <summary>Counts a cluster once more.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Add(ulong offset)
    {
        ulong cluster = offset >> _clusterBits;
        int error = Load(cluster, create: false, out Block? block);
        if (error != 0)
        {
            return error;
        }

        int index = (int)(cluster % (ulong)EntriesABlock);
        if (block == null || block.Counts[index] is 0 or ushort.MaxValue)
        {
            return ErrorNumber.InputOutput;
        }

        Set(block, cluster, (ushort)(block.Counts[index] + 1));
        return 0;
    }

    /// <summary>How often a cluster is counted.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Get(ulong offset, out ushort count)
    {
        ulong cluster = offset >> _clusterBits;
        int error = Load(cluster, create: false, out Block? block);
        count = block == null ? (ushort)0 : block.Counts[(int)(cluster % (ulong)EntriesABlock)];
        return error;
    }

    /// <summary>
    /// Makes the table large enough for so many clusters: a new one beside the old, which stays until the header refers to the new one.
    /// </summary>
    /// <param name="clusters">How many there may be.</param>
    /// <param name="changeHeader">Makes the header refer to the table at an offset, of a number of clusters.</param>
    /// <returns>0, or an errno value.</returns>
    public int Grow(ulong clusters, Func<ulong, uint, int> changeHeader)
    {
        if (Capacity >= clusters)
        {
            return 0;
        }

        // Everything that is counted now is in the file first, so that the new table has only blocks that are there.
        int error = WriteBack();
        ulong[] old = _table;
        ulong oldOffset = _tableOffset;
        ulong entriesACluster = 1UL << (_clusterBits - 3);
        ulong wanted = (clusters + (ulong)EntriesABlock - 1) / (ulong)EntriesABlock;
        ulong size = (wanted + entriesACluster - 1) / entriesACluster;
        if (error != 0 || size * entriesACluster > MaximumEntries)
        {
            return error != 0 ? error : ErrorNumber.InvalidArgument;
        }

        Array.Resize(ref _table, checked((int)(size * entriesACluster)));
        error = AllocateRun(size, out ulong place);
        error = error != 0 ? error : WriteBlocks(out bool _);
        if (error == 0)
        {
            byte[] bytes = new byte[_table.Length * 8];
            for (int i = 0; i < _table.Length; i++)
            {
                BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), _table[i]);
            }

            error = _file.WriteAt(place, bytes.AsSpan());
        }

        error = error != 0 ? error : _file.Synchronize();
        error = error != 0 ? error : changeHeader(place, (uint)size);
        error = error != 0 ? error : _file.Synchronize();
        if (error != 0)
        {
            // The file still has the old table; what is in memory beyond it is not to be used any more.
            _table = old;
            foreach (int index in _blocks.Keys.Where(k => k >= old.Length).ToArray())
            {
                _blocks.Remove(index);
            }

            return error;
        }

        _tableOffset = place;
        foreach (Block block in _blocks.Values)
        {
            block.IsNew = false;
        }

        for (ulong at = oldOffset; at < oldOffset + ((ulong)old.Length * 8); at += 1UL << _clusterBits)
        {
            error = Release(at, out bool _);
            if (error != 0)
            {
                return error;
            }
        }

        return WriteBack();
    }

    /// <summary>Counts a cluster once less.</summary>
    /// <param name="offset">The cluster.</param>
    /// <param name="isFree">Whether nobody uses it now.</param>
    public int Release(ulong offset, out bool isFree)
    {
        ulong cluster = offset >> _clusterBits;
        isFree = false;
        int error = Load(cluster, create: false, out Block? block);
        if (error != 0)
        {
            return error;
        }

        int index = (int)(cluster % (ulong)EntriesABlock);
        if (block == null || block.Counts[index] == 0)
        {
            return ErrorNumber.InputOutput;
        }

        isFree = block.Counts[index] == 1;
        Set(block, cluster, (ushort)(block.Counts[index] - 1));
        if (isFree && cluster < _hint)
        {
            _hint = cluster;
        }

        return 0;
    }

    /// <summary>Writes what has changed: blocks before the table's entries for them.</summary>
    public int WriteBack()
    {
        int error = WriteBlocks(out bool any);
        return error != 0 || !any ? error : WriteNewEntries();
    }

    // Only the sectors that have changed.
    private int WriteBlocks(out bool any)
    {
        const int CountsASector = 256;
        any = false;
        foreach (Block block in _blocks.Values)
        {
            // One that was written, and whose entry was not, because that failed.
            any |= block.IsNew;
            if (!block.IsDirty)
            {
                continue;
            }

            any = true;
            int first = block.DirtyFirst & ~(CountsASector - 1);
            int last = Math.Min((block.DirtyLast | (CountsASector - 1)) + 1, block.Counts.Length);
            for (int i = first; i < last; i++)
            {
                BinaryPrimitives.WriteUInt16BigEndian(_bytes.AsSpan(i * 2), block.Counts[i]);
            }

            int error = _file.WriteAt(block.Offset + ((ulong)first * 2), _bytes.AsSpan(first * 2, (last - first) * 2));
            if (error != 0)
            {
                return error;
            }

            block.DirtyFirst = int.MaxValue;
            block.DirtyLast = -1;
        }

        return 0;
    }

    private void Set(Block block, ulong cluster, ushort count)
    {
        int index = (int)(cluster % (ulong)EntriesABlock);
        block.Counts[index] = count;
        block.DirtyFirst = Math.Min(block.DirtyFirst, index);
        block.DirtyLast = Math.Max(block.DirtyLast, index);
    }

    private int WriteNewEntries()
    {
        Span<byte> entry = stackalloc byte[8];
        foreach ((int index, Block block) in _blocks)
        {
            if (block.IsNew)
            {
                int error = _file.Synchronize();
                BinaryPrimitives.WriteUInt64BigEndian(entry, block.Offset);
                error = error != 0 ? error : _file.WriteAt(_tableOffset + ((ulong)index * 8), entry);
                if (error != 0)
                {
                    return error;
                }

                block.IsNew = false;
            }
        }

        return 0;
    }

    // A block for clusters that none counts yet is put at the first of them, and counts itself.
    private int Load(ulong cluster, bool create, out Block? block)
    {
        int index = (int)Math.Min(cluster / (ulong)EntriesABlock, int.MaxValue);
        if (_blocks.TryGetValue(index, out block))
        {
            return 0;
        }

        if (index >= _table.Length)
        {
            return ErrorNumber.InputOutput;
        }

        ulong offset = _table[index] & ~511UL;
        if (offset == 0)
        {
            if (!create)
            {
                return 0;
            }

            offset = ((ulong)index * (ulong)EntriesABlock) << _clusterBits;
            // Whatever the file has there is replaced entirely.
            block = new Block { Offset = offset, Counts = new ushort[EntriesABlock], DirtyFirst = 0, DirtyLast = EntriesABlock - 1, IsNew = true };
            block.Counts[0] = 1;
            _table[index] = offset;
            _blocks.Add(index, block);
            return 0;
        }

        byte[] bytes = GC.AllocateUninitializedArray<byte>(1 << _clusterBits);
        int error = (offset & ((1UL << _clusterBits) - 1)) != 0 ? ErrorNumber.InputOutput : _file.ReadAt(offset, bytes.AsSpan());
        if (error != 0)
        {
            return error;
        }

        block = new Block { Offset = offset, Counts = new ushort[EntriesABlock] };
        for (int i = 0; i < block.Counts.Length; i++)
        {
            block.Counts[i] = BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(i * 2));
        }

        _blocks.Add(index, block);
        return 0;
    }

    private sealed class Block
    {
        public required ulong Offset { get; init; }

        public required ushort[] Counts { get; init; }

        public int DirtyFirst { get; set; } = int.MaxValue;

        public int DirtyLast { get; set; } = -1;

        public bool IsDirty => DirtyLast >= 0;

        public bool IsNew { get; set; }
    }
}
