using System.Buffers.Binary;
using System.Text;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>Makes empty qcow2 images, version 3, of 64 KiB clusters, with a table of reference counts that suffices for the full disk.</summary>
internal static class Qcow2Creation
{
    private const int ClusterBits = 16;
    private const int ClusterSize = 1 << ClusterBits;
    private const ulong PerTable = (ulong)(ClusterSize / 8) << ClusterBits;
    private const ulong PerRefcountTableCluster = (ulong)(ClusterSize / 8) * (ClusterSize / 2);
    private const int NameOffset = 512;

    /// <summary>Largest disk.</summary>
    public const ulong MaximumLength = 1UL << 50;

    /// <summary>Writes the image into a new, empty file: what is not zero of it.</summary>
    /// <param name="file">The file.</param>
    /// <param name="length">Bytes of the disk.</param>
    /// <param name="backingName">What its content rests on, as it stands in the header; or null.</param>
    /// <param name="backingFormat">That one's format.</param>
    /// <param name="isDurable">Whether it is to be on the disk when this returns.</param>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static void Write(BlockFile file, ulong length, string? backingName, DiskFormat backingFormat, bool isDurable)
    {
        ulong l1Entries = (length + PerTable - 1) / PerTable;
        ulong l1Clusters = Math.Max(1, (l1Entries * 8 + ClusterSize - 1) / ClusterSize);
        ulong most = (2 * (length >> ClusterBits)) + l1Entries + l1Clusters + 64;
        ulong tableClusters = (most + PerRefcountTableCluster - 1) / PerRefcountTableCluster;
        ulong block = (1 + tableClusters) << ClusterBits;
        ulong l1 = block + ClusterSize;

        byte[] name = backingName == null ? [] : Encoding.UTF8.GetBytes(backingName);
        byte[] header = new byte[NameOffset + name.Length];
        Word(0, Qcow2Header.Magic);
        Word(4, 3);
        Word(20, ClusterBits);
        Long(24, length);
        Word(36, (uint)l1Entries);
        Long(40, l1);
        Long(48, ClusterSize);
        Word(56, (uint)tableClusters);
        Word(96, 4);
        Word(100, Qcow2Header.Version3Length);
        if (backingName != null)
        {
            byte[] format = Encoding.ASCII.GetBytes(backingFormat == DiskFormat.Raw ? "raw" : "qcow2");
            Word(Qcow2Header.Version3Length, Qcow2Header.BackingFormatExtension);
            Word(Qcow2Header.Version3Length + 4, (uint)format.Length);
            format.CopyTo(header, Qcow2Header.Version3Length + 8);
            name.CopyTo(header, NameOffset);
            Long(8, NameOffset);
            Word(16, (uint)name.Length);
        }

        byte[] counts = new byte[2 * (int)(2 + tableClusters + l1Clusters)];
        for (int i = 0; i < counts.Length; i += 2)
        {
            BinaryPrimitives.WriteUInt16BigEndian(counts.AsSpan(i), 1);
        }

        byte[] entry = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(entry, block);
        Check(file.Resize(l1 + (l1Clusters << ClusterBits)), "ftruncate");
        Check(file.WriteAt(block, counts.AsSpan()), "pwrite");
        Check(file.WriteAt(ClusterSize, entry.AsSpan()), "pwrite");
        Check(file.WriteAt(0, header.AsSpan()), "pwrite");
        if (isDurable)
        {
            Check(file.Synchronize(), "fdatasync");
        }

        void Word(int offset, uint value) => BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(offset), value);

        void Long(int offset, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(offset), value);
    }

    private static void Check(int error, string call)
    {
        if (error != 0)
        {
            throw new SystemCallException(call, error);
        }
    }
}
