using System.Buffers.Binary;
using System.Text;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>The header of a qcow2 image, versions 2 and 3 (QEMU, docs/interop/qcow2.txt), checked.</summary>
internal sealed class Qcow2Header
{
    public const uint Magic = 0x514649fb;
    public const int Version3Length = 104;
    public const int AutoclearOffset = 88;
    public const int IncompatibleOffset = 72;
    private const int CompressionOffset = 104;
    public const uint BackingFormatExtension = 0xe2792aca;

    /// <summary>Longest name of a backing image, in bytes.</summary>
    public const int MaximumBackingName = 1023;

    private const uint BitmapsExtension = 0x23852875;
    private const int Version2Length = 72;
    private const ulong MaximumL1Bytes = 32 << 20;
    private const ulong DirtyBit = 1;
    private const ulong CorruptBit = 2;

    private Qcow2Header()
    {
    }

    public required uint Version { get; init; }

    public required int ClusterBits { get; init; }

    public required ulong Length { get; set; }

    public required uint L1Size { get; set; }

    public required ulong L1Offset { get; set; }

    public required ulong RefcountTableOffset { get; set; }

    public required uint RefcountTableClusters { get; set; }

    public required uint SnapshotCount { get; init; }

    public required ulong SnapshotOffset { get; init; }

    /// <summary>Whether compressed clusters are zstd's rather than zlib's.</summary>
    public required bool UsesZstd { get; init; }

    /// <summary>Whether there are dirty bitmaps, which an extension describes.</summary>
    public bool HasBitmaps { get; private set; }

    public required ulong AutoclearFeatures { get; init; }

    public required bool IsDirty { get; init; }

    public required bool IsCorrupt { get; init; }

    public required int RefcountOrder { get; init; }

    public string? BackingName { get; private set; }

    public string? BackingFormat { get; private set; }

    public ulong ClusterSize => 1UL << ClusterBits;

    /// <summary>Reads it.</summary>
    /// <exception cref="StorageException">It is none, is damaged, or uses what is not understood.</exception>
    public static Qcow2Header Read(BlockFile file)
    {
        byte[] bytes = new byte[4096];
        if (file.ReadAt(0, bytes.AsSpan()) is var error and not 0)
        {
            throw new StorageException($"'{file.Path}' cannot be read: {new SystemCallException("read", error).Reason}");
        }

        if (Word(bytes, 0) != Magic)
        {
            throw new StorageException($"'{file.Path}' is no qcow2 image.");
        }

        uint version = Word(bytes, 4);
        if (version is not (2 or 3))
        {
            throw new StorageException($"'{file.Path}' is a qcow image of version {version}; versions 2 and 3 are understood.");
        }

        ulong incompatible = version == 3 ? Long(bytes, 72) : 0;
        string? unknown = Word(bytes, 32) != 0 ? "encryption"
            : (incompatible & 4) != 0 ? "an external data file"
            : (incompatible & 8) != 0 && bytes[CompressionOffset] > 1 ? "another compression than zlib and zstd"
            : (incompatible & 16) != 0 ? "subclusters"
            : (incompatible & ~31UL) != 0 ? "a feature that is not known" : null;
        if (unknown != null)
        {
            throw new StorageException($"'{file.Path}' uses {unknown}, which is not supported. 'qemu-img convert' makes an image without it.");
        }

        Qcow2Header header = new()
        {
            Version = version,
            ClusterBits = (int)Word(bytes, 20),
            Length = Long(bytes, 24),
            L1Size = Word(bytes, 36),
            L1Offset = Long(bytes, 40),
            RefcountTableOffset = Long(bytes, 48),
            RefcountTableClusters = Word(bytes, 56),
            SnapshotCount = Word(bytes, 60),
            SnapshotOffset = Long(bytes, 64),
            UsesZstd = (incompatible & 8) != 0 && bytes[CompressionOffset] == 1,
            AutoclearFeatures = version == 3 ? Long(bytes, AutoclearOffset) : 0,
            IsDirty = (incompatible & DirtyBit) != 0,
            IsCorrupt = (incompatible & CorruptBit) != 0,
            RefcountOrder = version == 3 ? (int)Word(bytes, 96) : 4,
        };
        header.Check(file);
        int headerLength = version == 3 ? (int)Math.Min(Word(bytes, 100), 4096) : Version2Length;
        header.ReadBacking(file, bytes, headerLength);
        return header;
    }

    /// <summary>The header's first cluster with another backing image; null if that does not fit.</summary>
    /// <param name="cluster">What is there now.</param>
    /// <param name="name">The backing image's name, or null for none.</param>
    /// <param name="format">Its format.</param>
    public static byte[]? ReplaceBacking(ReadOnlySpan<byte> cluster, string? name, DiskFormat format)
    {
        byte[] header = new byte[cluster.Length];
        int length = Word(cluster, 4) == 3 ? (int)Word(cluster, 100) : Version2Length;
        byte[] nameBytes = name == null ? [] : Encoding.UTF8.GetBytes(name);
        if (length < Version2Length || length > cluster.Length - 8 || nameBytes.Length > MaximumBackingName)
        {
            return null;
        }

        cluster[..length].CopyTo(header);
        int at = length;
        if (name != null && !Append(BackingFormatExtension, Encoding.ASCII.GetBytes(format == DiskFormat.Raw ? "raw" : "qcow2")))
        {
            return null;
        }

        // The other extensions stay as they are.
        for (int from = length; from + 8 <= cluster.Length;)
        {
            uint type = Word(cluster, from);
            uint size = Word(cluster, from + 4);
            if (type == 0 || size > cluster.Length - from - 8)
            {
                break;
            }

            if (type != BackingFormatExtension && !Append(type, cluster.Slice(from + 8, (int)size)))
            {
                return null;
            }

            from += 8 + (int)((size + 7) & ~7u);
        }

        // Eight bytes of zero end the extensions.
        int place = at + 8;
        if (place + nameBytes.Length > Math.Min(header.Length, 4096))
        {
            return null;
        }

        nameBytes.CopyTo(header, place);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(8), name == null ? 0 : (ulong)place);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(16), (uint)nameBytes.Length);
        return header;

        bool Append(uint type, ReadOnlySpan<byte> data)
        {
            if (at + 8 + ((data.Length + 7) & ~7) > header.Length - 8)
            {
                return false;
            }

            BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at), type);
            BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at + 4), (uint)data.Length);
            data.CopyTo(header.AsSpan(at + 8));
            at += 8 + ((data.Length + 7) & ~7);
            return true;
        }
    }

    private void Check(BlockFile file)
    {
        bool sizes = ClusterBits is >= 9 and <= 21 && RefcountOrder is >= 0 and <= 6 && Length <= 1UL << 62;
        ulong mask = sizes ? ClusterSize - 1 : 0;
        ulong perTable = sizes ? (ClusterSize / 8) << ClusterBits : 1;
        bool tables = sizes
            && (ulong)L1Size * 8 <= MaximumL1Bytes
            && (Length + perTable - 1) / perTable <= L1Size
            && (L1Offset & mask) == 0 && (RefcountTableOffset & mask) == 0 && RefcountTableOffset != 0
            && (L1Offset != 0 || L1Size == 0)
            && RefcountTableClusters != 0 && ((ulong)RefcountTableClusters << ClusterBits) <= MaximumL1Bytes
            && L1Offset < 1UL << 56 && RefcountTableOffset < 1UL << 56;
        if (!tables)
        {
            throw new StorageException($"'{file.Path}' has a damaged qcow2 header. 'qemu-img check' may say more.");
        }
    }

    private void ReadBacking(BlockFile file, byte[] bytes, int headerLength)
    {
        ulong offset = Long(bytes, 8);
        uint length = Word(bytes, 16);
        if (offset != 0)
        {
            if (length is 0 or > MaximumBackingName || offset + length > Math.Min(ClusterSize, (ulong)bytes.Length))
            {
                throw new StorageException($"'{file.Path}' has a damaged qcow2 header: the backing file's name lies outside.");
            }

            // No file has such a name.
            if (bytes.AsSpan((int)offset, (int)length).Contains((byte)0))
            {
                throw new StorageException($"'{file.Path}' has a damaged qcow2 header: the backing file's name has a zero in it.");
            }

            BackingName = Encoding.UTF8.GetString(bytes, (int)offset, (int)length);
        }

        for (int at = headerLength; at + 8 <= bytes.Length;)
        {
            uint type = Word(bytes, at);
            uint size = Word(bytes, at + 4);
            if (type == 0 || size > bytes.Length - at - 8)
            {
                break;
            }

            HasBitmaps |= type == BitmapsExtension;
            if (type == BackingFormatExtension)
            {
                BackingFormat = Encoding.ASCII.GetString(bytes, at + 8, (int)size);
            }

            at += 8 + (int)((size + 7) & ~7u);
        }
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]);

    private static ulong Long(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64BigEndian(bytes[offset..]);
}
