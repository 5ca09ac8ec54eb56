using System.Buffers.Binary;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Sharing;

/// <summary>Operations on open files and directories.</summary>
internal sealed partial class FuseSession
{
    private const int TransferLength = 40;
    private const int MaximumVectors = 160;
    private const int EntryHeaderLength = 24;
    private const int HostEntryHeaderLength = 19;
    private const int AccessMask = 0x3;
    private const int TruncateFlag = 0x200;

    private int OpenFile(int held)
    {
        if (Arguments.Length < 8)
        {
            return FuseErrors.Invalid;
        }

        int flags = (int)Word(Arguments, 0);
        if (readOnly && (flags & (AccessMask | TruncateFlag)) != 0)
        {
            return FuseErrors.ReadOnly;
        }

        int error = FolderCalls.GetStatus(held, out FileStatus status);
        if (error != 0 || status.Type != FileStatus.RegularType)
        {
            // Pipes and devices are the guest's own business.
            return error != 0 ? error : FuseErrors.Invalid;
        }

        int open = FolderCalls.Reopen(held, flags, directory: false, out error);
        return open < 0 ? error : AnswerOpen(open);
    }

    private int OpenDirectory(int held)
    {
        int open = FolderCalls.Reopen(held, 0, directory: true, out int error);
        return open < 0 ? error : AnswerOpen(open);
    }

    private int SeekFile(int open)
    {
        uint whence = Word(Arguments, 16);
        if (whence is not (3 or 4))
        {
            return FuseErrors.Invalid;
        }

        long position = FolderCalls.Seek(open, Long(Arguments, 8), (int)whence, out int error);
        if (error == 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(Begin(8), position);
        }

        return error;
    }

    // Straight into the guest's pages, behind the answer's header.
    private int ReadFile(out uint read)
    {
        read = 0;
        if (Arguments.Length < TransferLength || _request.AnswerLength < AnswerHeaderLength)
        {
            return FuseErrors.Invalid;
        }

        if (!handles.TryAcquire(Long(Arguments, 0), out int open))
        {
            return FuseErrors.BadDescriptor;
        }

        Span<IoVector> vectors = stackalloc IoVector[MaximumVectors];
        ulong wanted = Math.Min(Word(Arguments, 16), _request.AnswerLength - AnswerHeaderLength);
        int count = Select(_request.Answer, AnswerHeaderLength, wanted, vectors);
        int error = 0;
        long done = count == 0 ? 0 : FolderCalls.Read(open, Long(Arguments, 8), vectors[..count], out error);
        handles.Release(Long(Arguments, 0));
        foreach (GuestBuffer buffer in _request.Answer)
        {
            _request.MarkWritten(buffer);
        }

        read = (uint)Math.Max(done, 0);
        return error;
    }

    private int WriteFile()
    {
        if (readOnly)
        {
            return FuseErrors.ReadOnly;
        }

        if (Arguments.Length < TransferLength)
        {
            return FuseErrors.Invalid;
        }

        if (!handles.TryAcquire(Long(Arguments, 0), out int open))
        {
            return FuseErrors.BadDescriptor;
        }

        Span<IoVector> vectors = stackalloc IoVector[MaximumVectors];
        int count = Select(_request.Message, HeaderLength + TransferLength, Word(Arguments, 16), vectors);
        int error = 0;
        long done = count == 0 ? 0 : FolderCalls.Write(open, Long(Arguments, 8), vectors[..count], out error);
        handles.Release(Long(Arguments, 0));
        if (error == 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Begin(8), (uint)done);
        }

        return error;
    }

    private static int Select(ReadOnlySpan<GuestBuffer> buffers, uint skip, ulong length, Span<IoVector> vectors)
    {
        int count = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            if (skip >= buffer.Length)
            {
                skip -= buffer.Length;
                continue;
            }

            GuestBuffer rest = buffer.Skip(skip);
            skip = 0;
            rest = rest.Length > length ? rest.Take((uint)length) : rest;
            length -= rest.Length;
            if (rest.Length == 0 || count == vectors.Length)
            {
                break;
            }

            vectors[count++] = new IoVector(rest.HostAddress, rest.Length);
        }

        return count;
    }

    private int ReadDirectory(ulong node, bool plus)
    {
        if (Arguments.Length < TransferLength || _request.AnswerLength < AnswerHeaderLength)
        {
            return FuseErrors.Invalid;
        }

        if (!handles.TryAcquire(Long(Arguments, 0), out int open))
        {
            return FuseErrors.BadDescriptor;
        }

        int room = (int)Math.Min(Math.Min(Word(Arguments, 16), _request.AnswerLength - AnswerHeaderLength), (ulong)_answer.Length);
        ulong position = Long(Arguments, 8);
        int count = position > long.MaxValue ? 0 : FolderCalls.ReadEntries(open, position, _entries, out _);
        int error = count < 0 ? FuseErrors.InputOutput : 0;
        ReadOnlySpan<byte> entries = _entries.AsSpan(0, Math.Max(count, 0));
        while (entries.Length > HostEntryHeaderLength)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(entries[16..]);
            if (!AddEntry(open, entries[..length], room, plus))
            {
                break;
            }

            entries = entries[length..];
        }

        handles.Release(Long(Arguments, 0));
        return error;
    }

    // struct linux_dirent64 (inode, next position, length, type, name) becomes struct fuse_dirent, with what a look-up would say before it if that is wanted.
    private bool AddEntry(int open, ReadOnlySpan<byte> entry, int room, bool plus)
    {
        ReadOnlySpan<byte> name = entry[HostEntryHeaderLength..];
        int nameLength = name.IndexOf((byte)0);
        int length = ((EntryHeaderLength + nameLength + 7) & ~7) + (plus ? EntryLength : 0);
        if (_answerLength + length > room)
        {
            return false;
        }

        Span<byte> answer = Begin(length);
        if (plus)
        {
            bool special = name[..nameLength].SequenceEqual("."u8) || name[..nameLength].SequenceEqual(".."u8);
            int held = special ? -1 : FolderCalls.Hold(open, name[..(nameLength + 1)], out _);
            if (held >= 0 && AnswerHeld(held, answer) != 0)
            {
                answer[..EntryLength].Clear();
            }

            answer = answer[EntryLength..];
        }

        entry[..8].CopyTo(answer);
        entry.Slice(8, 8).CopyTo(answer[8..]);
        BinaryPrimitives.WriteInt32LittleEndian(answer[16..], nameLength);
        answer[20] = entry[18];
        name[..nameLength].CopyTo(answer[EntryHeaderLength..]);
        return true;
    }
}
