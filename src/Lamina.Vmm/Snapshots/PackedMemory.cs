using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using Lamina.Interop.Memory;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// RAM, or some of its pages, compressed: "LAMPACK1", and for each piece of at most 64 KiB the number of its first page (8 bytes), how many pages it has (4), how many bytes follow (4), and these: its
/// pages as a zlib stream, as they are where that is not shorter, or nothing where all are zero. A piece without pages is the end. Little-endian. Of a whole memory, what is zero may be left out.
/// </summary>
internal static class PackedMemory
{
    private const int HeadLength = 16;
    private const int PiecePages = MemoryImage.ChunkSize / PageRun.PageSize;

    private static ReadOnlySpan<byte> Signature => "LAMPACK1"u8;

    /// <summary>Packs a memory file.</summary>
    /// <param name="memory">It.</param>
    /// <param name="runs">The pages that count; null for all.</param>
    /// <param name="file">A new file.</param>
    internal static void Pack(SafeFileHandle memory, IReadOnlyList<PageRun>? runs, SafeFileHandle file)
    {
        using MemoryStream packed = new();
        byte[] content = new byte[MemoryImage.ChunkSize];
        long at = Signature.Length;
        RandomAccess.Write(file, Signature, 0);
        foreach (PageRun run in runs ?? MemoryImage.FindData(memory))
        {
            for (ulong page = run.First; page < run.First + run.Count; page += PiecePages)
            {
                int pages = (int)Math.Min(PiecePages, run.First + run.Count - page);
                Span<byte> piece = content.AsSpan(0, pages * PageRun.PageSize);
                MemoryImage.ReadAll(memory, piece, (long)page * PageRun.PageSize);
                bool isZero = MemoryImage.IsZero(piece);
                if (isZero && runs == null)
                {
                    continue;
                }

                packed.SetLength(HeadLength);
                packed.Position = HeadLength;
                if (!isZero)
                {
                    using (ZLibStream stream = new(packed, CompressionLevel.Fastest, leaveOpen: true))
                    {
                        stream.Write(piece);
                    }

                    if (packed.Length - HeadLength >= piece.Length)
                    {
                        packed.SetLength(HeadLength);
                        packed.Write(piece);
                    }
                }

                at += Append(file, at, packed, page, pages);
            }
        }

        packed.SetLength(HeadLength);
        Append(file, at, packed, 0, 0);
    }

    /// <summary>Unpacks a file, of whoever made it, into RAM.</summary>
    /// <returns>The file's digest; null if it cannot be such a file, or not of so much memory.</returns>
    internal static string? Unpack(SafeFileHandle file, MemoryMapping memory)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        FileReader reader = new(file, hash);
        byte[] packed = new byte[MemoryImage.ChunkSize];
        if (!reader.TryRead(packed.AsSpan(0, Signature.Length)) || !packed.AsSpan().StartsWith(Signature))
        {
            return null;
        }

        ulong total = memory.Length / PageRun.PageSize;
        byte[] head = new byte[HeadLength];
        while (reader.TryRead(head))
        {
            ulong page = BinaryPrimitives.ReadUInt64LittleEndian(head);
            uint pages = BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(8));
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(12));
            if (pages == 0)
            {
                return reader.IsAtEnd ? Convert.ToHexStringLower(hash.GetHashAndReset()) : null;
            }

            if (pages > PiecePages || page >= total || pages > total - page || length > pages * PageRun.PageSize || !reader.TryRead(packed.AsSpan(0, (int)length)))
            {
                return null;
            }

            Span<byte> target = memory.GetSpan(page * PageRun.PageSize, (int)pages * PageRun.PageSize);
            if (length == 0)
            {
                target.Clear();
            }
            else if (length == target.Length)
            {
                packed.AsSpan(0, target.Length).CopyTo(target);
            }
            else if (!TryInflate(packed, (int)length, target))
            {
                return null;
            }
        }

        return null;
    }

    private static bool TryInflate(byte[] packed, int length, Span<byte> target)
    {
        try
        {
            using MemoryStream source = new(packed, 0, length, writable: false);
            using ZLibStream stream = new(source, CompressionMode.Decompress);
            return stream.ReadAtLeast(target, target.Length, throwOnEndOfStream: false) == target.Length && stream.ReadByte() < 0;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private static int Append(SafeFileHandle file, long at, MemoryStream piece, ulong page, int pages)
    {
        Span<byte> bytes = piece.GetBuffer().AsSpan(0, (int)piece.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, page);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], (uint)pages);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], (uint)(bytes.Length - HeadLength));
        RandomAccess.Write(file, bytes, at);
        return bytes.Length;
    }

    /// <summary>Reads a file once, from its start, and digests it.</summary>
    private sealed class FileReader(SafeFileHandle file, IncrementalHash hash)
    {
        private readonly byte[] _buffer = new byte[1 << 20];
        private long _at;
        private int _start;
        private int _end;

        internal bool IsAtEnd => _start == _end && !Refill();

        internal bool TryRead(Span<byte> buffer)
        {
            Span<byte> rest = buffer;
            while (!rest.IsEmpty && (_start < _end || Refill()))
            {
                int count = Math.Min(rest.Length, _end - _start);
                _buffer.AsSpan(_start, count).CopyTo(rest);
                _start += count;
                rest = rest[count..];
            }

            return rest.IsEmpty;
        }

        private bool Refill()
        {
            _start = 0;
            _end = RandomAccess.Read(file, _buffer, _at);
            _at += _end;
            hash.AppendData(_buffer.AsSpan(0, _end));
            return _end > 0;
        }
    }
}
