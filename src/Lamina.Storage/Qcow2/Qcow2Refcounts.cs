using System.Buffers.Binary;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>
/// The reference counts of an image's clusters, of 16 bits, kept in memory as far as they were needed and written by <see cref="WriteBack"/>. Under the image's lock for changes.
/// </summary>
internal sealed class Qcow2Refcounts
{
    private readonly BlockFile _file;
    private readonly int _clusterBits;
    private readonly ulong _tableOffset;
    private readonly ulong[] _table;
    private readonly Dictionary<int, Block> _blocks = [];
    private ulong _hint;

    private Qcow2Refcounts(BlockFile file, Qcow2Header header, ulong[] table)
    {
        _file = file;
        _clusterBits = header.ClusterBits;
        _tableOffset = header.RefcountTableOffset;
        _table = table;
    }

    private int EntriesABlock => 1 << (_clusterBits - 1);

    /// <summary>Most clusters that the table can count.</summary>
    public ulong Capacity => (ulong)_table.Length * (ulong)EntriesABlock;

    /// <summary>Reads the table.</summary>
    public static Qcow2Refcounts? Open(BlockFile file, Qcow2Header header)
    {
        byte[] bytes = new byte[(int)(header.RefcountTableClusters << header.ClusterBits)];
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

            ref ushort count = ref block!.Counts[(int)(cluster % (ulong)EntriesABlock)];
            if (count == 0)
            {
                count = 1;
                block.IsDirty = true;
                _hint = cluster + 1;
                offset = cluster << _clusterBits;
                return 0;
            }
        }

        return ErrorNumber.NoSpace;
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

        isFree = --block.Counts[index] == 0;
        block.IsDirty = true;
        if (isFree && cluster < _hint)
        {
            _hint = cluster;
        }

        return 0;
    }

    /// <summary>Writes what has changed: blocks before the table's entries for them.</summary>
    public int WriteBack()
    {
        byte[]? bytes = null;
        foreach (Block block in _blocks.Values)
        {
            if (!block.IsDirty)
            {
                continue;
            }

            bytes ??= new byte[1 << _clusterBits];
            for (int i = 0; i < block.Counts.Length; i++)
            {
                BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(i * 2), block.Counts[i]);
            }

            int error = _file.WriteAt(block.Offset, bytes.AsSpan());
            if (error != 0)
            {
                return error;
            }

            block.IsDirty = false;
        }

        return bytes == null ? 0 : WriteNewEntries();
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
            block = new Block { Offset = offset, Counts = new ushort[EntriesABlock], IsDirty = true, IsNew = true };
            block.Counts[0] = 1;
            _table[index] = offset;
            _blocks.Add(index, block);
            return 0;
        }

        byte[] bytes = new byte[1 << _clusterBits];
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

        public bool IsDirty { get; set; }

        public bool IsNew { get; set; }
    }
}
