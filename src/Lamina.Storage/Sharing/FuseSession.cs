using System.Buffers.Binary;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage.Sharing;

/// <summary>One thread's view of a shared folder: takes a FUSE message apart, does what it says, and writes the answer. A message is copied once; then it is checked.</summary>
internal sealed partial class FuseSession(NodeTable nodes, HandleTable handles, bool readOnly)
{
    private const int HeaderLength = 40;
    private const int AnswerHeaderLength = 16;
    private const int MaximumArguments = 16 << 10;
    private const int AttributesLength = 88;
    private const int EntryLength = 40 + AttributesLength;
    private const int MaximumWrite = 1 << 20;
    private const uint MajorVersion = 7;
    private const uint MinorVersion = 31;
    private const ulong ValidSeconds = 1;

    // ASYNC_READ, ATOMIC_O_TRUNC, BIG_WRITES, AUTO_INVAL_DATA, DO_READDIRPLUS, READDIRPLUS_AUTO, PARALLEL_DIROPS, MAX_PAGES.
    private const uint WantedFlags = (1 << 0) | (1 << 3) | (1 << 5) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 18) | (1 << 22);

    private readonly byte[] _message = new byte[HeaderLength + MaximumArguments];
    private readonly byte[] _answer = new byte[64 << 10];
    private readonly byte[] _entries = new byte[32 << 10];
    private FileSystemRequest _request = null!;
    private int _length;
    private int _answerLength;

    private ReadOnlySpan<byte> Arguments => _message.AsSpan(HeaderLength, _length - HeaderLength);

    private uint User => BinaryPrimitives.ReadUInt32LittleEndian(_message.AsSpan(24));

    private uint Group => BinaryPrimitives.ReadUInt32LittleEndian(_message.AsSpan(28));

    /// <summary>Serves a message.</summary>
    /// <returns>Bytes of the answer.</returns>
    public uint Serve(FileSystemRequest request)
    {
        _request = request;
        _length = request.Read(0, _message);
        if (_length < HeaderLength)
        {
            return 0;
        }

        FuseOperation operation = (FuseOperation)Word(_message, 4);
        ulong node = Long(_message, 16);
        if (operation is FuseOperation.Forget or FuseOperation.BatchForget)
        {
            Forget(operation, node);
            return 0;
        }

        _answerLength = 0;
        int error = Execute(operation, node, out uint payload);
        Span<byte> header = stackalloc byte[AnswerHeaderLength];
        uint body = error != 0 ? 0 : (uint)_answerLength + payload;
        if (request.AnswerLength < AnswerHeaderLength + (ulong)_answerLength)
        {
            return 0;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(header, AnswerHeaderLength + body);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], -error);
        _message.AsSpan(8, 8).CopyTo(header[8..]);
        request.Write(0, header);
        if (error == 0 && _answerLength > 0)
        {
            request.Write(AnswerHeaderLength, _answer.AsSpan(0, _answerLength));
        }

        return AnswerHeaderLength + body;
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong Long(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private int Execute(FuseOperation operation, ulong node, out uint payload)
    {
        payload = 0;
        switch (operation)
        {
            case FuseOperation.Initialize:
                return Initialize();
            case FuseOperation.Destroy:
                handles.Clear();
                nodes.Clear();
                return 0;
            case FuseOperation.Interrupt:
                return 0;
            case FuseOperation.Read:
                return ReadFile(out payload);
            case FuseOperation.Write:
                return WriteFile();
            case FuseOperation.ReadDirectory or FuseOperation.ReadDirectoryPlus:
                return ReadDirectory(node, operation == FuseOperation.ReadDirectoryPlus);
            case FuseOperation.Release or FuseOperation.ReleaseDirectory:
                if (Arguments.Length >= 8)
                {
                    handles.Close(Long(Arguments, 0));
                }

                return 0;
            case FuseOperation.Flush:
                return 0;
            case FuseOperation.Synchronize or FuseOperation.SynchronizeDirectory:
                return OnHandle(16, static (session, open) => FolderCalls.Synchronize(open, (Word(session.Arguments, 8) & 1) != 0));
            case FuseOperation.Allocate:
                return readOnly ? FuseErrors.ReadOnly : OnHandle(32, static (session, open) =>
                    FolderCalls.Allocate(open, (int)Word(session.Arguments, 24), Long(session.Arguments, 8), Long(session.Arguments, 16)));
            case FuseOperation.Seek:
                return OnHandle(24, static (session, open) => session.SeekFile(open));
        }

        if (!nodes.TryAcquire(node, out int held))
        {
            return FuseErrors.NoEntry;
        }

        int error = ExecuteOnNode(operation, held);
        nodes.Release(node);
        return error;
    }

    private int ExecuteOnNode(FuseOperation operation, int held)
    {
        switch (operation)
        {
            case FuseOperation.Lookup:
                return TryGetName(0, out ReadOnlySpan<byte> name, out _) ? AnswerEntry(held, name) : FuseErrors.Invalid;
            case FuseOperation.GetAttributes:
                return AnswerAttributes(held);
            case FuseOperation.ReadLink:
                _answerLength = Math.Max(0, FolderCalls.ReadLink(held, _answer.AsSpan(0, 4096), out int linkError));
                return linkError;
            case FuseOperation.FileSystemStatus:
                return AnswerSpace(held);
            case FuseOperation.Open:
                return OpenFile(held);
            case FuseOperation.OpenDirectory:
                return OpenDirectory(held);
        }

        if (!IsChange(operation))
        {
            return FuseErrors.NotImplemented;
        }

        return readOnly ? FuseErrors.ReadOnly : Change(operation, held);
    }

    private static bool IsChange(FuseOperation operation) => operation is FuseOperation.SetAttributes or FuseOperation.SymbolicLink or FuseOperation.MakeNode
        or FuseOperation.MakeDirectory or FuseOperation.Unlink or FuseOperation.RemoveDirectory or FuseOperation.Rename or FuseOperation.Rename2
        or FuseOperation.Link or FuseOperation.Create;

    private int Initialize()
    {
        ReadOnlySpan<byte> arguments = Arguments;
        if (arguments.Length < 16 || Word(arguments, 0) < MajorVersion)
        {
            return FuseErrors.Invalid;
        }

        // A new mount knows nothing of the one before.
        handles.Clear();
        nodes.Clear();
        Span<byte> answer = Begin(64);
        BinaryPrimitives.WriteUInt32LittleEndian(answer, MajorVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[4..], MinorVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[8..], Word(arguments, 8));
        BinaryPrimitives.WriteUInt32LittleEndian(answer[12..], Word(arguments, 12) & WantedFlags);
        BinaryPrimitives.WriteUInt16LittleEndian(answer[16..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(answer[18..], 48);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[20..], MaximumWrite);
        BinaryPrimitives.WriteUInt32LittleEndian(answer[24..], 1);
        BinaryPrimitives.WriteUInt16LittleEndian(answer[28..], MaximumWrite / 4096);
        return 0;
    }

    private void Forget(FuseOperation operation, ulong node)
    {
        ReadOnlySpan<byte> arguments = Arguments;
        if (operation == FuseOperation.Forget && arguments.Length >= 8)
        {
            nodes.Forget(node, Long(arguments, 0));
        }
        else if (operation == FuseOperation.BatchForget && arguments.Length >= 8)
        {
            uint count = Word(arguments, 0);
            for (int at = 8; count > 0 && at + 16 <= arguments.Length; at += 16, count--)
            {
                nodes.Forget(Long(arguments, at), Long(arguments, at + 8));
            }
        }
    }

    private Span<byte> Begin(int length)
    {
        Span<byte> answer = _answer.AsSpan(_answerLength, length);
        answer.Clear();
        _answerLength += length;
        return answer;
    }

    // A name in the arguments: one component, with the zero at its end.
    private bool TryGetName(int offset, out ReadOnlySpan<byte> name, out int next)
    {
        name = default;
        next = 0;
        if (!TryGetText(offset, out ReadOnlySpan<byte> text, out next))
        {
            return false;
        }

        name = text;
        ReadOnlySpan<byte> bytes = text[..^1];
        return bytes.Length is > 0 and <= 255 && !bytes.Contains((byte)'/') && !bytes.SequenceEqual("."u8) && !bytes.SequenceEqual(".."u8);
    }

    private bool TryGetText(int offset, out ReadOnlySpan<byte> text, out int next)
    {
        text = default;
        next = 0;
        if (offset > Arguments.Length)
        {
            return false;
        }

        int end = Arguments[offset..].IndexOf((byte)0);
        if (end < 0)
        {
            return false;
        }

        text = Arguments.Slice(offset, end + 1);
        next = offset + end + 1;
        return true;
    }

    private int AnswerEntry(int directory, ReadOnlySpan<byte> name)
    {
        int held = FolderCalls.Hold(directory, name, out int error);
        return held < 0 ? error : AnswerHeld(held, Begin(EntryLength));
    }

    // Remembers a file just held, and writes what the guest learns of it.
    private int AnswerHeld(int held, Span<byte> entry)
    {
        int error = FolderCalls.GetStatus(held, out FileStatus status);
        if (error != 0)
        {
            FolderCalls.Close(held);
            return error;
        }

        ulong number = nodes.Remember(held, status);
        if (number == 0)
        {
            return FuseErrors.TooManyFiles;
        }

        WriteEntry(entry, number, status);
        return 0;
    }

    private static void WriteEntry(Span<byte> entry, ulong node, in FileStatus status)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(entry, node);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], ValidSeconds);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[24..], ValidSeconds);
        WriteAttributes(entry[40..], status);
    }

    private int AnswerAttributes(int held)
    {
        int error = FolderCalls.GetStatus(held, out FileStatus status);
        if (error == 0)
        {
            Span<byte> answer = Begin(16 + AttributesLength);
            BinaryPrimitives.WriteUInt64LittleEndian(answer, ValidSeconds);
            WriteAttributes(answer[16..], status);
        }

        return error;
    }

    private static void WriteAttributes(Span<byte> bytes, in FileStatus status)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, status.Inode);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], status.Size);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], status.Blocks);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[24..], status.AccessSeconds);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], status.ModificationSeconds);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[40..], status.ChangeSeconds);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[48..], status.AccessNanoseconds);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[52..], status.ModificationNanoseconds);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[56..], status.ChangeNanoseconds);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[60..], status.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[64..], status.Links);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[68..], status.User);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[72..], status.Group);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[76..], (status.SpecialMajor << 8) | (status.SpecialMinor & 0xff) | ((status.SpecialMinor & ~0xffu) << 12));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[80..], status.BlockSize);
    }

    private int AnswerSpace(int held)
    {
        int error = FolderCalls.GetSpace(held, out SpaceStatus space);
        if (error == 0)
        {
            Span<byte> answer = Begin(80);
            BinaryPrimitives.WriteUInt64LittleEndian(answer, space.Blocks);
            BinaryPrimitives.WriteUInt64LittleEndian(answer[8..], space.FreeBlocks);
            BinaryPrimitives.WriteUInt64LittleEndian(answer[16..], space.AvailableBlocks);
            BinaryPrimitives.WriteUInt64LittleEndian(answer[24..], space.Files);
            BinaryPrimitives.WriteUInt64LittleEndian(answer[32..], space.FreeFiles);
            BinaryPrimitives.WriteUInt32LittleEndian(answer[40..], (uint)space.BlockSize);
            BinaryPrimitives.WriteUInt32LittleEndian(answer[44..], (uint)space.NameLength);
            BinaryPrimitives.WriteUInt32LittleEndian(answer[48..], (uint)space.FragmentSize);
        }

        return error;
    }

    private int OnHandle(int argumentsLength, Func<FuseSession, int, int> action)
    {
        if (Arguments.Length < argumentsLength)
        {
            return FuseErrors.Invalid;
        }

        ulong handle = Long(Arguments, 0);
        if (!handles.TryAcquire(handle, out int open))
        {
            return FuseErrors.BadDescriptor;
        }

        int error = action(this, open);
        handles.Release(handle);
        return error;
    }
}
