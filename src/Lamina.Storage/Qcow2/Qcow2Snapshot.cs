using System.Buffers.Binary;
using System.Text;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>An entry of an image's table of snapshots.</summary>
/// <param name="Id">Its number, as text.</param>
/// <param name="Name">What its maker called it.</param>
/// <param name="Taken">When.</param>
/// <param name="DiskLength">Bytes of the disk then.</param>
/// <param name="StateLength">Bytes of a machine's state that is stored with it.</param>
/// <param name="L1Offset">Where its L1 table is.</param>
/// <param name="L1Size">Entries of that table.</param>
internal sealed record Qcow2Snapshot(string Id, string Name, DateTime Taken, ulong DiskLength, ulong StateLength, ulong L1Offset, uint L1Size)
{
    private const int HeaderLength = 40;
    private const int MaximumTable = 16 << 20;
    private const uint MaximumL1Size = 4 << 20;

    /// <summary>Reads the table.</summary>
    /// <param name="file">The image.</param>
    /// <param name="header">Its header.</param>
    /// <param name="length">Bytes of the table.</param>
    /// <exception cref="StorageException">It is damaged.</exception>
    public static IReadOnlyList<Qcow2Snapshot> ReadAll(BlockFile file, Qcow2Header header, out ulong length)
    {
        List<Qcow2Snapshot> snapshots = [];
        byte[] fixedPart = new byte[HeaderLength];
        length = 0;
        for (uint i = 0; i < header.SnapshotCount; i++)
        {
            ulong place = header.SnapshotOffset + length;
            if (place >= 1UL << 56 || length > MaximumTable || file.ReadAt(place, fixedPart.AsSpan()) != 0)
            {
                throw Damaged(file);
            }

            uint l1Size = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(8));
            int idLength = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(12));
            int nameLength = BinaryPrimitives.ReadUInt16BigEndian(fixedPart.AsSpan(14));
            uint extra = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(36));
            ulong l1Offset = BinaryPrimitives.ReadUInt64BigEndian(fixedPart);
            if (l1Size > MaximumL1Size || extra > 1024 || (l1Offset & (header.ClusterSize - 1)) != 0 || l1Offset >= 1UL << 56)
            {
                throw Damaged(file);
            }

            byte[] rest = new byte[(int)extra + idLength + nameLength];
            if (file.ReadAt(place + HeaderLength, rest.AsSpan()) != 0)
            {
                throw Damaged(file);
            }

            uint seconds = BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(16));
            ulong state = extra >= 8 ? BinaryPrimitives.ReadUInt64BigEndian(rest) : BinaryPrimitives.ReadUInt32BigEndian(fixedPart.AsSpan(32));
            ulong disk = extra >= 16 ? BinaryPrimitives.ReadUInt64BigEndian(rest.AsSpan(8)) : header.Length;
            snapshots.Add(new Qcow2Snapshot(
                Encoding.UTF8.GetString(rest, (int)extra, idLength),
                Encoding.UTF8.GetString(rest, (int)extra + idLength, nameLength),
                DateTimeOffset.FromUnixTimeSeconds(seconds).UtcDateTime,
                disk,
                state,
                l1Offset,
                l1Size));
            length += (ulong)(HeaderLength + rest.Length + 7) & ~7UL;
        }

        return snapshots;
    }

    private static StorageException Damaged(BlockFile file) => new($"'{file.Path}' has a damaged table of snapshots.");
}
