using System.Buffers.Binary;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>
/// Counts how often each cluster of an image is referred to, and compares that with what the image says. Nothing is kept of the image but its tables' sizes, so that a damaged one is looked
/// at as it is.
/// </summary>
internal sealed class Qcow2Check
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const int MaximumProblems = 100;
    private const ulong MaximumClusters = 1 << 29;
    private readonly BlockFile _file;
    private readonly Qcow2Header _header;
    private readonly Action<double>? _progress;
    private readonly ushort[] _expected;
    private readonly ushort[] _stored;
    private readonly ulong[] _refcountTable;
    private readonly List<string> _problems = [];
    private readonly List<(ulong Place, ulong Value)> _flags = [];

    private Qcow2Check(BlockFile file, Qcow2Header header, Action<double>? progress)
    {
        _file = file;
        _header = header;
        _progress = progress;
        ulong clusters = (file.GetLength() + header.ClusterSize - 1) >> header.ClusterBits;
        _expected = clusters <= MaximumClusters
            ? new ushort[(int)clusters]
            : throw new StorageException($"'{file.Path}' has {clusters} clusters; at most {MaximumClusters} are checked.");
        _stored = new ushort[_expected.Length];
        _refcountTable = new ulong[checked((int)(((ulong)header.RefcountTableClusters << header.ClusterBits) / 8))];
    }

    private ulong ClusterSize => _header.ClusterSize;

    private int Errors { get; set; }

    private int Leaks { get; set; }

    /// <summary>Looks at an image, and repairs what may be repaired.</summary>
    /// <param name="file">The image, locked.</param>
    /// <param name="repair">What is to be done about what is found. Needs a file that can be written.</param>
    /// <param name="progress">Told how much is done, from 0 to 1; or null.</param>
    /// <exception cref="StorageException">It is no image, or cannot be read.</exception>
    public static DiskCheckResult Run(BlockFile file, DiskRepair repair, Action<double>? progress)
    {
        Qcow2Header header = Qcow2Header.Read(file);
        Qcow2Check check = new(file, header, progress);
        check.CountReferences();
        check.ReadCounts();
        check.Compare();
        bool repairs = repair == DiskRepair.All || (repair == DiskRepair.Leaks && check.Errors == 0);
        bool repaired = repairs && (check.Errors != 0 || check.Leaks != 0 || header.IsDirty || header.IsCorrupt) && check.Repair();
        return new DiskCheckResult(check.Errors, check.Leaks, (ulong)check._expected.Count(c => c != 0), repaired, check._problems);
    }

    private void CountReferences()
    {
        Add(0, "the header");
        AddRun(_header.RefcountTableOffset, (ulong)_header.RefcountTableClusters << _header.ClusterBits, "the table of reference counts");
        Read(_header.RefcountTableOffset, _refcountTable);
        foreach (ulong entry in _refcountTable)
        {
            if ((entry & ~511UL) != 0)
            {
                Add(entry & ~511UL, "a block of reference counts");
            }
        }

        CountTables(_header.L1Offset, _header.L1Size, active: true);
        if (_header.SnapshotCount != 0)
        {
            IReadOnlyList<Qcow2Snapshot> snapshots = Qcow2Snapshot.ReadAll(_file, _header, out ulong length);
            AddRun(_header.SnapshotOffset, length, "the table of snapshots");
            foreach (Qcow2Snapshot snapshot in snapshots)
            {
                CountTables(snapshot.L1Offset, snapshot.L1Size, active: false);
            }
        }

        if (_header.HasBitmaps)
        {
            throw new StorageException($"'{_file.Path}' has dirty bitmaps, which are not understood, so it cannot be checked. 'qemu-img check' does.");
        }
    }

    private void CountTables(ulong offset, uint size, bool active)
    {
        if (size == 0)
        {
            return;
        }

        AddRun(offset, (ulong)size * 8, "an L1 table");
        ulong[] l1 = new ulong[size];
        ulong[] entries = new ulong[(int)(ClusterSize / 8)];
        Read(offset, l1);
        for (int i = 0; i < l1.Length; i++)
        {
            _progress?.Invoke((double)i / l1.Length);
            ulong place = l1[i] & OffsetMask;
            if (place == 0)
            {
                continue;
            }

            if (!Add(place, "an L2 table"))
            {
                continue;
            }

            Remember(active, offset + ((ulong)i * 8), l1[i]);
            Read(place, entries);
            for (int n = 0; n < entries.Length; n++)
            {
                CountEntry(entries[n], active, place + ((ulong)n * 8));
            }
        }
    }

    private void CountEntry(ulong entry, bool active, ulong place)
    {
        if ((entry & Compressed) != 0)
        {
            if ((entry & Copied) != 0)
            {
                Problem($"the compressed cluster entry at {place:x} says that it is the image's alone");
            }

            (ulong offset, int length) = Qcow2Compression.Locate(_header, entry);
            AddRun(offset & ~511UL, (ulong)length + (offset & 511), "a compressed cluster");
        }
        else if ((entry & OffsetMask) != 0 && Add(entry & OffsetMask, "a cluster"))
        {
            Remember(active, place, entry);
        }
    }

    // The flag "this image's alone" is to be true of the active tables; it can be judged when everything is counted.
    private void Remember(bool active, ulong place, ulong entry)
    {
        if (active)
        {
            _flags.Add((place, entry));
        }
    }

    private void AddRun(ulong offset, ulong length, string what)
    {
        for (ulong at = offset & ~(ClusterSize - 1); at < offset + length; at += ClusterSize)
        {
            Add(at, what);
        }
    }

    private bool Add(ulong offset, string what)
    {
        ulong cluster = offset >> _header.ClusterBits;
        if ((offset & (ClusterSize - 1)) != 0 || cluster >= (ulong)_expected.Length)
        {
            Problem($"{what} is said to be at {offset:x}, which is {(cluster >= (ulong)_expected.Length ? "behind the end of the file" : "inside a cluster")}");
            return false;
        }

        if (_expected[(int)cluster] == ushort.MaxValue)
        {
            Problem($"the cluster at {offset:x} is referred to too often");
            return false;
        }

        _expected[(int)cluster]++;
        return true;
    }

    // Counts have 1 to 64 bits; those below a byte begin with the lowest bits.
    private void ReadCounts()
    {
        int bits = 1 << _header.RefcountOrder;
        int entries = (int)(ClusterSize * 8 / (ulong)bits);
        byte[] block = new byte[(int)ClusterSize];
        for (int cluster = 0; cluster < _stored.Length; cluster++)
        {
            int index = cluster % entries;
            if (index == 0)
            {
                int table = cluster / entries;
                ulong place = table < _refcountTable.Length ? _refcountTable[table] & ~511UL : 0;
                Array.Clear(block);
                if (place != 0 && (place & (ClusterSize - 1)) == 0)
                {
                    Check(_file.ReadAt(place, block.AsSpan()));
                }
            }

            ulong count = bits switch
            {
                8 => block[index],
                16 => BinaryPrimitives.ReadUInt16BigEndian(block.AsSpan(index * 2)),
                32 => BinaryPrimitives.ReadUInt32BigEndian(block.AsSpan(index * 4)),
                64 => BinaryPrimitives.ReadUInt64BigEndian(block.AsSpan(index * 8)),
                _ => (ulong)(block[index * bits / 8] >> (index * bits % 8)) & ((1UL << bits) - 1),
            };
            _stored[cluster] = (ushort)Math.Min(count, ushort.MaxValue);
        }
    }

    private void Compare()
    {
        for (int i = 0; i < _expected.Length; i++)
        {
            if (_stored[i] < _expected[i])
            {
                Problem($"the cluster at {(ulong)i << _header.ClusterBits:x} is counted {_stored[i]} times and used {_expected[i]} times");
            }
            else if (_stored[i] > _expected[i])
            {
                Leaks++;
            }
        }

        foreach ((ulong place, ulong entry) in _flags)
        {
            bool alone = _expected[(int)((entry & OffsetMask) >> _header.ClusterBits)] == 1;
            if (alone != ((entry & Copied) != 0))
            {
                Problem($"the entry at {place:x} says {(alone ? "not " : "")}that its cluster is the image's alone");
            }
        }
    }

    private void Problem(string text)
    {
        Errors++;
        if (_problems.Count < MaximumProblems)
        {
            _problems.Add(text);
        }
    }

    // Counts and flags are written anew where there is a place for them; tables that point nowhere are left to whoever can judge what was lost.
    private bool Repair()
    {
        int perBlock = (int)(ClusterSize / 2);
        if (_header.RefcountOrder != 4 || _problems.Exists(p => p.Contains("is said to be at", StringComparison.Ordinal)))
        {
            return false;
        }

        for (int first = 0; first < _expected.Length; first += perBlock)
        {
            ulong place = _refcountTable[first / perBlock] & ~511UL;
            if (place == 0 && _expected.AsSpan(first, Math.Min(perBlock, _expected.Length - first)).ContainsAnyExcept((ushort)0))
            {
                return false;
            }
        }

        byte[] block = new byte[(int)ClusterSize];
        for (int first = 0; first < _refcountTable.Length * perBlock && (first < _expected.Length || (_refcountTable[first / perBlock] & ~511UL) != 0); first += perBlock)
        {
            ulong place = _refcountTable[first / perBlock] & ~511UL;
            if (place == 0)
            {
                continue;
            }

            for (int i = 0; i < perBlock; i++)
            {
                BinaryPrimitives.WriteUInt16BigEndian(block.AsSpan(i * 2), first + i < _expected.Length ? _expected[first + i] : (ushort)0);
            }

            Check(_file.WriteAt(place, block.AsSpan()));
        }

        Check(_file.Synchronize());
        byte[] word = new byte[8];
        foreach ((ulong place, ulong entry) in _flags)
        {
            bool alone = _expected[(int)((entry & OffsetMask) >> _header.ClusterBits)] == 1;
            if (alone != ((entry & Copied) != 0))
            {
                BinaryPrimitives.WriteUInt64BigEndian(word, alone ? entry | Copied : entry & ~Copied);
                Check(_file.WriteAt(place, word.AsSpan()));
            }
        }

        Check(_file.Synchronize());
        if (_header.Version >= 3)
        {
            Check(_file.ReadAt(Qcow2Header.IncompatibleOffset, word.AsSpan()));
            word[7] &= 0xfc;
            Check(_file.WriteAt(Qcow2Header.IncompatibleOffset, word.AsSpan()));
            Check(_file.Synchronize());
        }

        return true;
    }

    private void Read(ulong offset, ulong[] entries)
    {
        byte[] bytes = new byte[entries.Length * 8];
        Check(_file.ReadAt(offset, bytes.AsSpan()));
        for (int i = 0; i < entries.Length; i++)
        {
            entries[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
    }

    private void Check(int error) => DiskCopy.Check(error, _file.Path, "read or written");
}
