using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Store;

/// <content>The saved state: number, generation, the paths that it changes, and its copy of the tree.</content>
internal sealed partial class StoreTransaction
{
    /// <summary>Writes up to four fields.</summary>
    internal void Save(IStateWriter state, ushort field, Span<byte> buffer)
    {
        state.Write(field, (ulong)Number);
        if (Number != 0)
        {
            state.Write((ushort)(field + 1), Generation);
            state.Write((ushort)(field + 2), _journal.AsSpan(0, _used));
            Tree.Save(state, (ushort)(field + 3), buffer);
        }
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field, Span<byte> buffer)
    {
        End();
        uint number = 0;
        ulong generation = 0;
        if (!state.TryTake(field, ref number) || number == 0)
        {
            return number == 0 && state.TryRead(field, out _);
        }

        int length = state.TryRead((ushort)(field + 2), _journal);
        if (length < 0 || !IsJournal(_journal.AsSpan(0, length)) || !state.TryTake((ushort)(field + 1), ref generation) || !Tree.Restore(state, (ushort)(field + 3), buffer))
        {
            return false;
        }

        (Number, Generation, _used) = (number, generation, length);
        return true;
    }

    private static bool IsJournal(ReadOnlySpan<byte> journal)
    {
        const int Head = 3;
        while (!journal.IsEmpty)
        {
            int length = journal.Length < Head ? -1 : System.Buffers.Binary.BinaryPrimitives.ReadUInt16LittleEndian(journal[1..]);
            if (length < 0 || length > journal.Length - Head || journal[0] > 1 || !StorePath.IsAbsolute(journal.Slice(Head, length)))
            {
                return false;
            }

            journal = journal[(Head + length)..];
        }

        return true;
    }
}
