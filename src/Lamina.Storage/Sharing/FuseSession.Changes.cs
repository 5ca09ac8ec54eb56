using System.Buffers.Binary;
using Lamina.Interop.Files;

namespace Lamina.Storage.Sharing;

/// <summary>Operations that change the folder.</summary>
internal sealed partial class FuseSession
{
    private const uint SetMode = 1 << 0;
    private const uint SetUser = 1 << 1;
    private const uint SetGroup = 1 << 2;
    private const uint SetSize = 1 << 3;
    private const uint SetAccess = 1 << 4;
    private const uint SetModification = 1 << 5;
    private const uint SetAccessNow = 1 << 7;
    private const uint SetModificationNow = 1 << 8;
    private const uint RenameFlags = 0x3; // NOREPLACE, EXCHANGE.

    private int Change(FuseOperation operation, int held)
    {
        ReadOnlySpan<byte> arguments = Arguments;
        switch (operation)
        {
            case FuseOperation.SetAttributes:
                return arguments.Length >= 88 ? SetAttributes(held, arguments) : FuseErrors.Invalid;
            case FuseOperation.MakeDirectory when arguments.Length >= 8 && TryGetName(8, out ReadOnlySpan<byte> name, out _):
                return Made(held, name, FolderCalls.MakeDirectory(held, name, Word(arguments, 0)), Word(arguments, 0));
            case FuseOperation.MakeNode when arguments.Length >= 16 && TryGetName(16, out ReadOnlySpan<byte> name, out _):
                uint mode = Word(arguments, 0);
                // Device files would be the host's devices.
                return (mode & FileStatus.TypeMask) is FileStatus.RegularType or 0x1000 or 0xc000
                    ? Made(held, name, FolderCalls.MakeNode(held, name, mode), mode)
                    : FuseErrors.NotPermitted;
            case FuseOperation.SymbolicLink when TryGetName(0, out ReadOnlySpan<byte> name, out int target) && TryGetText(target, out ReadOnlySpan<byte> text, out _):
                return Made(held, name, FolderCalls.MakeLink(text, held, name), null);
            case FuseOperation.Unlink or FuseOperation.RemoveDirectory when TryGetName(0, out ReadOnlySpan<byte> name, out _):
                return FolderCalls.Remove(held, name, operation == FuseOperation.RemoveDirectory);
            case FuseOperation.Rename when arguments.Length >= 8:
                return Rename(held, Long(arguments, 0), 0, 8);
            case FuseOperation.Rename2 when arguments.Length >= 16:
                return Rename(held, Long(arguments, 0), Word(arguments, 8), 16);
            case FuseOperation.Link when arguments.Length >= 8 && TryGetName(8, out ReadOnlySpan<byte> name, out _):
                return Link(held, Long(arguments, 0), name);
            case FuseOperation.Create when arguments.Length >= 16 && TryGetName(16, out ReadOnlySpan<byte> name, out _):
                return Create(held, name, (int)Word(arguments, 0), Word(arguments, 4));
            default:
                return FuseErrors.Invalid;
        }
    }

    // What was just made gets the owner and the permissions that the guest means, and is looked up.
    private int Made(int directory, ReadOnlySpan<byte> name, int error, uint? mode)
    {
        if (error != 0)
        {
            return error;
        }

        int held = FolderCalls.Hold(directory, name, out error);
        if (held < 0)
        {
            return error;
        }

        GiveAway(held, mode);
        return AnswerHeld(held, Begin(EntryLength));
    }

    // The kernel of the guest has applied its mask; the host's would come on top. Only root can give a file to the guest's user.
    private void GiveAway(int held, uint? mode)
    {
        if (FolderCalls.IsRoot && (User | Group) != 0)
        {
            FolderCalls.SetOwner(held, User, Group);
        }

        if (mode is { } wanted && FolderCalls.GetStatus(held, out FileStatus status) == 0 && (status.Mode & 0xfff) != (wanted & 0xfff))
        {
            FolderCalls.SetMode(held, wanted);
        }
    }

    private int Create(int directory, ReadOnlySpan<byte> name, int flags, uint mode)
    {
        int open = FolderCalls.CreateFile(directory, name, flags, mode, out int error);
        if (open < 0)
        {
            return error;
        }

        int held = FolderCalls.Hold(directory, name, out error);
        if (held < 0)
        {
            FolderCalls.Close(open);
            return error;
        }

        // The name may mean another file by now: the open one is what counts.
        error = FolderCalls.GetStatus(open, out FileStatus opened);
        bool same = error == 0 && FolderCalls.GetStatus(held, out FileStatus found) == 0 && found.Inode == opened.Inode && found.DeviceMinor == opened.DeviceMinor;
        if (!same || opened.Type != FileStatus.RegularType)
        {
            FolderCalls.Close(open);
            FolderCalls.Close(held);
            return error != 0 ? error : FuseErrors.InputOutput;
        }

        GiveAway(held, opened.Size == 0 ? mode : null);
        error = AnswerHeld(held, Begin(EntryLength));
        return error != 0 ? CloseAfter(open, error) : AnswerOpen(open);
    }

    private static int CloseAfter(int open, int error)
    {
        FolderCalls.Close(open);
        return error;
    }

    private int Rename(int directory, ulong toNode, uint flags, int names)
    {
        if ((flags & ~RenameFlags) != 0 || !TryGetName(names, out ReadOnlySpan<byte> from, out int next) || !TryGetName(next, out ReadOnlySpan<byte> to, out _))
        {
            return FuseErrors.Invalid;
        }

        if (!nodes.TryAcquire(toNode, out int toDirectory))
        {
            return FuseErrors.NoEntry;
        }

        int error = FolderCalls.Rename(directory, from, toDirectory, to, flags);
        nodes.Release(toNode);
        return error;
    }

    private int Link(int directory, ulong node, ReadOnlySpan<byte> name)
    {
        if (!nodes.TryAcquire(node, out int held))
        {
            return FuseErrors.NoEntry;
        }

        int error = Made(directory, name, FolderCalls.Link(held, directory, name), null);
        nodes.Release(node);
        return error;
    }

    private int SetAttributes(int held, ReadOnlySpan<byte> arguments)
    {
        uint valid = Word(arguments, 0);
        int error = FolderCalls.GetStatus(held, out FileStatus status);
        if (error == 0 && (valid & (SetUser | SetGroup)) != 0)
        {
            error = FolderCalls.SetOwner(
                held,
                (valid & SetUser) != 0 ? Word(arguments, 76) : uint.MaxValue,
                (valid & SetGroup) != 0 ? Word(arguments, 80) : uint.MaxValue);
        }

        if (error == 0 && (valid & SetMode) != 0)
        {
            error = status.Type == FileStatus.LinkType ? FuseErrors.Invalid : FolderCalls.SetMode(held, Word(arguments, 68));
        }

        if (error == 0 && (valid & SetSize) != 0)
        {
            error = status.Type == FileStatus.RegularType ? FolderCalls.SetLength(held, Long(arguments, 16)) : FuseErrors.Invalid;
        }

        if (error == 0 && (valid & (SetAccess | SetModification)) != 0)
        {
            FileTime access = (valid & SetAccess) == 0 ? FileTime.Same
                : (valid & SetAccessNow) != 0 ? FileTime.Now : new FileTime((long)Long(arguments, 32), Word(arguments, 56) % 1_000_000_000);
            FileTime modification = (valid & SetModification) == 0 ? FileTime.Same
                : (valid & SetModificationNow) != 0 ? FileTime.Now : new FileTime((long)Long(arguments, 40), Word(arguments, 60) % 1_000_000_000);
            error = FolderCalls.SetTimes(held, access, modification);
        }

        return error != 0 ? error : AnswerAttributes(held);
    }

    private int AnswerOpen(int open)
    {
        ulong handle = handles.Add(open);
        if (handle == 0)
        {
            return FuseErrors.TooManyFiles;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(Begin(16), handle);
        return 0;
    }
}
