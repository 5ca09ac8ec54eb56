using System.Buffers.Binary;
using System.Text;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage.Sharing;

/// <summary>
/// What a guest knows of a shared folder, as bytes (little-endian): the version, the next number of a file and of an open one, and how many of each there are with, for each, number, how often the guest has
/// learned of it or what it may do with it (and bit 31 for a directory), kind, and path below the folder. A file without a name is one that the guest will not find any more, unless it is open: then nothing can be saved.
/// Files are found again by their paths, and must be of the same kind; their content is the folder's and may be another.
/// </summary>
internal sealed class FolderState(string folder, int root, NodeTable nodes, HandleTable handles)
{
    private const uint Version = 1;
    private const int HeaderLength = 28;
    private const int EntryLength = 24;
    private const int LongestPath = 4096;
    private const uint DirectoryFlag = 1u << 31;
    private const uint WriteAccess = 0x3;

    /// <summary>Makes it.</summary>
    /// <exception cref="StorageException">An open file has no name.</exception>
    public byte[] Save()
    {
        using MemoryStream stream = new();
        Span<byte> header = stackalloc byte[HeaderLength];
        IReadOnlyList<(ulong Number, ulong Lookups, int Held)> known = nodes.List();
        IReadOnlyList<(ulong Number, int Open)> open = handles.List();
        BinaryPrimitives.WriteUInt32LittleEndian(header, Version);
        BinaryPrimitives.WriteUInt64LittleEndian(header[4..], nodes.Next);
        BinaryPrimitives.WriteUInt64LittleEndian(header[12..], handles.Next);
        BinaryPrimitives.WriteInt32LittleEndian(header[20..], known.Count);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], open.Count);
        stream.Write(header);
        foreach ((ulong number, ulong lookups, int held) in known)
        {
            (byte[]? path, uint kind) = held < 0 ? default : Find(held);
            Write(stream, number, lookups, kind, path ?? []);
        }

        foreach ((ulong number, int descriptor) in open)
        {
            (byte[]? path, uint kind) = Find(descriptor);
            bool isDirectory = kind == FileStatus.DirectoryType;
            Write(stream, number, isDirectory ? DirectoryFlag : (uint)FolderCalls.GetAccess(descriptor), kind, path ?? throw new StorageException($"the guest has a file of the shared folder '{folder}' open that has no name there any more: {Describe(descriptor)}"));
        }

        return stream.ToArray();
    }

    /// <summary>The opposite.</summary>
    /// <exception cref="StorageException">It cannot be.</exception>
    public void Restore(ReadOnlySpan<byte> state, bool readOnly)
    {
        if (state.Length < HeaderLength || BinaryPrimitives.ReadUInt32LittleEndian(state) != Version)
        {
            throw Damaged();
        }

        ulong nextNode = BinaryPrimitives.ReadUInt64LittleEndian(state[4..]);
        ulong nextHandle = BinaryPrimitives.ReadUInt64LittleEndian(state[12..]);
        uint known = BinaryPrimitives.ReadUInt32LittleEndian(state[20..]);
        uint open = BinaryPrimitives.ReadUInt32LittleEndian(state[24..]);
        state = state[HeaderLength..];

        // Numbers count up by one; far below the end, they never come around.
        if (nextNode >> 62 != 0 || nextHandle >> 62 != 0)
        {
            throw Damaged();
        }

        for (; known > 0; known--)
        {
            ReadOnlySpan<byte> path = Read(ref state, out ulong number, out ulong lookups, out uint kind);
            RestoreNode(number, lookups, kind, path, nextNode);
        }

        for (; open > 0; open--)
        {
            ReadOnlySpan<byte> path = Read(ref state, out ulong number, out ulong access, out uint kind);
            RestoreHandle(number, access, kind, path, nextHandle, readOnly);
        }

        nodes.SkipTo(nextNode);
        handles.SkipTo(nextHandle);
        if (!state.IsEmpty)
        {
            throw Damaged();
        }
    }

    private void RestoreNode(ulong number, ulong lookups, uint kind, ReadOnlySpan<byte> path, ulong next)
    {
        int held = path.IsEmpty ? -1 : FolderCalls.HoldBelow(root, [.. path, 0], out _);
        FileStatus status = default;
        if (held >= 0 && (FolderCalls.GetStatus(held, out status) != 0 || status.Type != kind))
        {
            // Another file has its name: the one that the guest knows is gone.
            FolderCalls.Close(held);
            held = -1;
        }

        if (number >= next || !nodes.TryAdd(number, lookups, held, status))
        {
            Close(held);
            throw Damaged();
        }
    }

    private void RestoreHandle(ulong number, ulong access, uint kind, ReadOnlySpan<byte> path, ulong next, bool readOnly)
    {
        bool isDirectory = access == DirectoryFlag;
        if (path.IsEmpty || number >= next || (!isDirectory && access > 2) || kind != (isDirectory ? FileStatus.DirectoryType : FileStatus.RegularType))
        {
            throw Damaged();
        }

        if (readOnly && !isDirectory && (access & WriteAccess) != 0)
        {
            throw new StorageException($"'{Text(path)}' was open for writing, and the folder '{folder}' is shared for reading only");
        }

        int held = FolderCalls.HoldBelow(root, [.. path, 0], out int error);
        int descriptor = -1;
        if (held >= 0)
        {
            error = FolderCalls.GetStatus(held, out FileStatus status);
            descriptor = error != 0 ? -1
                : status.Type != kind ? throw Closed(held, new StorageException($"'{Text(path)}' in the folder '{folder}', which the guest had open, is another kind of file now"))
                : FolderCalls.Reopen(held, isDirectory ? 0 : (int)access, isDirectory, out error);
            FolderCalls.Close(held);
        }

        if (descriptor < 0)
        {
            throw new StorageException($"'{Text(path)}' in the folder '{folder}', which the guest had open, cannot be opened: {new SystemCallException("open", error).Reason}");
        }

        if (!handles.TryAdd(number, descriptor))
        {
            throw Closed(descriptor, Damaged());
        }
    }

    // Its path below the folder, if it is still the file of that path.
    private (byte[]? Path, uint Kind) Find(int descriptor)
    {
        if (FolderCalls.GetStatus(descriptor, out FileStatus status) != 0)
        {
            return default;
        }

        Span<byte> buffer = stackalloc byte[LongestPath];
        int baseLength = FolderCalls.FindPath(root, buffer, out _);
        byte[] above = baseLength > 0 && baseLength < LongestPath ? buffer[..baseLength].ToArray() : [];
        int length = FolderCalls.FindPath(descriptor, buffer, out _);
        if (above.Length == 0 || length <= 0 || length >= LongestPath || !buffer[..length].StartsWith(above))
        {
            return (null, status.Type);
        }

        ReadOnlySpan<byte> rest = buffer[above.Length..length];
        if (above is not [(byte)'/'] && !rest.IsEmpty)
        {
            if (rest[0] != (byte)'/')
            {
                return (null, status.Type);
            }

            rest = rest[1..];
        }

        byte[] path = rest.IsEmpty ? "."u8.ToArray() : rest.ToArray();
        int held = FolderCalls.HoldBelow(root, [.. path, 0], out _);
        bool same = held >= 0 && FolderCalls.GetStatus(held, out FileStatus there) == 0
            && (there.Inode, there.DeviceMajor, there.DeviceMinor) == (status.Inode, status.DeviceMajor, status.DeviceMinor);
        Close(held);
        return (same ? path : null, status.Type);
    }

    private static string Describe(int descriptor)
    {
        Span<byte> buffer = stackalloc byte[LongestPath];
        int length = FolderCalls.FindPath(descriptor, buffer, out _);
        return length > 0 ? $"'{Text(buffer[..length])}'" : "its name is not known";
    }

    private static void Write(MemoryStream stream, ulong number, ulong value, uint kind, byte[] path)
    {
        Span<byte> entry = stackalloc byte[EntryLength];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, number);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], value);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], kind);
        BinaryPrimitives.WriteInt32LittleEndian(entry[20..], path.Length);
        stream.Write(entry);
        stream.Write(path);
    }

    private ReadOnlySpan<byte> Read(ref ReadOnlySpan<byte> state, out ulong number, out ulong value, out uint kind)
    {
        uint length = state.Length < EntryLength ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(state[20..]);
        if (length >= LongestPath || length > state.Length - EntryLength)
        {
            throw Damaged();
        }

        number = BinaryPrimitives.ReadUInt64LittleEndian(state);
        value = BinaryPrimitives.ReadUInt64LittleEndian(state[8..]);
        kind = BinaryPrimitives.ReadUInt32LittleEndian(state[16..]);
        ReadOnlySpan<byte> path = state.Slice(EntryLength, (int)length);
        state = state[(EntryLength + (int)length)..];
        return path.Contains((byte)0) ? throw Damaged() : path;
    }

    private static void Close(int descriptor)
    {
        if (descriptor >= 0)
        {
            FolderCalls.Close(descriptor);
        }
    }

    private static StorageException Closed(int descriptor, StorageException failure)
    {
        FolderCalls.Close(descriptor);
        return failure;
    }

    // A name is the guest's, and may hold anything.
    private static string Text(ReadOnlySpan<byte> path) => string.Concat(Encoding.UTF8.GetString(path).Select(static c => char.IsControl(c) ? '?' : c));

    private StorageException Damaged() => new($"the state of the shared folder '{folder}' cannot be one");
}
