using System.Buffers.Binary;

namespace Lamina.Vmm.Snapshots;

/// <summary>Which pages an incremental snapshot has, as a file: for each run of pages the number of the first and how many (8 bytes each, little-endian), by ascending address.</summary>
internal static class PageList
{
    private const int EntryLength = 2 * sizeof(ulong);

    /// <summary>The longest list that a machine can have: every other page.</summary>
    internal static long GetMaximumLength(ulong memoryBytes) => (long)(memoryBytes / PageRun.PageSize / 2 * EntryLength) + EntryLength;

    /// <summary>As bytes.</summary>
    internal static byte[] Write(IReadOnlyList<PageRun> runs)
    {
        byte[] bytes = new byte[runs.Count * EntryLength];
        for (int i = 0; i < runs.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * EntryLength), runs[i].First);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((i * EntryLength) + sizeof(ulong)), runs[i].Count);
        }

        return bytes;
    }

    /// <summary>From bytes, of whoever wrote them.</summary>
    /// <returns>The runs; null if this is no such list, or not for so much memory.</returns>
    internal static PageRun[]? Read(ReadOnlySpan<byte> bytes, ulong memoryBytes)
    {
        if (bytes.Length % EntryLength != 0)
        {
            return null;
        }

        ulong pages = memoryBytes / PageRun.PageSize;
        ulong next = 0;
        PageRun[] runs = new PageRun[bytes.Length / EntryLength];
        for (int i = 0; i < runs.Length; i++)
        {
            ulong first = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i * EntryLength)..]);
            ulong count = BinaryPrimitives.ReadUInt64LittleEndian(bytes[((i * EntryLength) + sizeof(ulong))..]);
            if (first < next || first >= pages || count == 0 || count > pages - first)
            {
                return null;
            }

            runs[i] = new PageRun(first, count);
            next = first + count;
        }

        return runs;
    }
}
