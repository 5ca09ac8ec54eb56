using System.Buffers.Binary;
using System.Security.Cryptography;
using Lamina.Interop.Memory;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// RAM as a sparse file, of the RAM's length: pages that are zero are holes. Its digest is that of the chunks of 64 KiB that are not zero, each with its number before it, so that holes cost
/// nothing to check.
/// </summary>
internal static class MemoryImage
{
    /// <summary>Bytes in a chunk.</summary>
    internal const int ChunkSize = 64 << 10;

    private const int PageSize = PageRun.PageSize;

    /// <summary>Writes RAM, while nobody changes it.</summary>
    /// <param name="memory">RAM.</param>
    /// <param name="present">What of it may hold something.</param>
    /// <param name="file">A new file.</param>
    internal static void Write(MemoryMapping memory, PresentPages present, SafeFileHandle file)
    {
        RandomAccess.SetLength(file, (long)memory.Length);
        for (ulong chunk = 0; chunk < memory.Length; chunk += ChunkSize)
        {
            int length = (int)Math.Min(ChunkSize, memory.Length - chunk);
            if (present.HasAny(chunk, length))
            {
                WriteChunk(memory.GetSpan(chunk, length), chunk, file);
            }
        }
    }

    /// <summary>Writes some pages of RAM, while nobody changes it.</summary>
    /// <param name="memory">RAM.</param>
    /// <param name="runs">Which.</param>
    /// <param name="file">A new file.</param>
    internal static void Write(MemoryMapping memory, IReadOnlyList<PageRun> runs, SafeFileHandle file)
    {
        RandomAccess.SetLength(file, (long)memory.Length);
        foreach (PageRun run in runs)
        {
            for (ulong at = run.Offset; at < run.Offset + run.Length; at += ChunkSize)
            {
                WriteChunk(memory.GetSpan(at, (int)Math.Min(ChunkSize, run.Offset + run.Length - at)), at, file);
            }
        }
    }

    /// <summary>Digests a file.</summary>
    internal static string Digest(SafeFileHandle file)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[ChunkSize];
        Span<byte> number = stackalloc byte[sizeof(ulong)];
        long length = RandomAccess.GetLength(file);
        for (long at = 0; at < length; at += ChunkSize)
        {
            at = HostPages.FindData(file, at);
            if (at < 0)
            {
                break;
            }

            at -= at % ChunkSize;
            int count = ReadAll(file, buffer, at);
            if (!IsZero(buffer.AsSpan(0, count)))
            {
                BinaryPrimitives.WriteUInt64LittleEndian(number, (ulong)(at / ChunkSize));
                hash.AppendData(number);
                hash.AppendData(buffer.AsSpan(0, count));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The pages of a file that are not in its holes.</summary>
    internal static List<PageRun> FindData(SafeFileHandle file)
    {
        List<PageRun> runs = [];
        long length = RandomAccess.GetLength(file);
        long end;
        for (long at = 0; at < length && (at = HostPages.FindData(file, at)) >= 0; at = end)
        {
            end = HostPages.FindHole(file, at);
            end = end < 0 ? length : Math.Max(end, at + 1);
            ulong first = (ulong)at / PageSize;
            ulong next = ((ulong)Math.Min(end, length) + PageSize - 1) / PageSize;
            runs.Add(new PageRun(first, next - first));
        }

        return runs;
    }

    /// <summary>Whether there is nothing but zeroes.</summary>
    internal static bool IsZero(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept((byte)0);

    /// <summary>Reads until the buffer is full, or the file at its end.</summary>
    /// <returns>How many bytes there were.</returns>
    internal static int ReadAll(SafeFileHandle file, Span<byte> buffer, long at)
    {
        int total = 0;
        int count;
        while (total < buffer.Length && (count = RandomAccess.Read(file, buffer[total..], at + total)) > 0)
        {
            total += count;
        }

        return total;
    }

    private static void WriteChunk(ReadOnlySpan<byte> bytes, ulong at, SafeFileHandle file)
    {
        int start = 0;
        while (start < bytes.Length)
        {
            while (start < bytes.Length && IsZero(bytes.Slice(start, PageSize)))
            {
                start += PageSize;
            }

            int end = start;
            while (end < bytes.Length && !IsZero(bytes.Slice(end, PageSize)))
            {
                end += PageSize;
            }

            if (end > start)
            {
                RandomAccess.Write(file, bytes[start..end], (long)at + start);
            }

            start = end;
        }
    }
}
