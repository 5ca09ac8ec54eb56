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
    private const int ChunkSize = 64 << 10;
    private const int PageSize = 4096;

    /// <summary>Writes RAM, while nobody changes it.</summary>
    /// <param name="memory">RAM.</param>
    /// <param name="file">A new file.</param>
    internal static void Write(MemoryMapping memory, SafeFileHandle file)
    {
        RandomAccess.SetLength(file, (long)memory.Length);
        using PresentPages present = new(memory);
        for (ulong chunk = 0; chunk < memory.Length; chunk += ChunkSize)
        {
            int length = (int)Math.Min(ChunkSize, memory.Length - chunk);
            if (!present.HasAny(chunk, length))
            {
                continue;
            }

            ReadOnlySpan<byte> bytes = memory.GetSpan(chunk, length);
            int start = 0;
            while (start < length)
            {
                while (start < length && IsZero(bytes.Slice(start, PageSize)))
                {
                    start += PageSize;
                }

                int end = start;
                while (end < length && !IsZero(bytes.Slice(end, PageSize)))
                {
                    end += PageSize;
                }

                if (end > start)
                {
                    RandomAccess.Write(file, bytes[start..end], (long)chunk + start);
                }

                start = end;
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

    private static bool IsZero(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept((byte)0);

    private static int ReadAll(SafeFileHandle file, Span<byte> buffer, long at)
    {
        int total = 0;
        int count;
        while (total < buffer.Length && (count = RandomAccess.Read(file, buffer[total..], at + total)) > 0)
        {
            total += count;
        }

        return total;
    }
}
