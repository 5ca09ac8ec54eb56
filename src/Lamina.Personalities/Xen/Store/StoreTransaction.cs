namespace Lamina.Personalities.Xen.Store;

/// <summary>A transaction: a copy of the tree, and the paths that it changes. It ends well if the tree is still what it was at the start.</summary>
internal sealed partial class StoreTransaction
{
    private readonly byte[] _journal = new byte[StoreLimits.Journal];
    private int _used;

    /// <summary>The copy.</summary>
    internal StoreTree Tree { get; } = new();

    /// <summary>Its number; 0 if it is not under way.</summary>
    internal uint Number { get; private set; }

    /// <summary>How often the tree had changed at the start.</summary>
    internal ulong Generation { get; private set; }

    /// <summary>Whether it changes anything.</summary>
    internal bool HasChanges => _used > 0;

    internal void Begin(uint number, StoreTree tree, ulong generation)
    {
        (Number, Generation, _used) = (number, generation, 0);
        Tree.CopyFrom(tree);
    }

    internal void End() => Number = 0;

    /// <summary>Notes that a path has changed.</summary>
    /// <returns><c>false</c> if there are too many.</returns>
    internal bool TryNote(ReadOnlySpan<byte> path, bool removed)
    {
        if (_used + path.Length + 3 > _journal.Length)
        {
            return false;
        }

        _journal[_used] = (byte)(removed ? 1 : 0);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16LittleEndian(_journal.AsSpan(_used + 1), (ushort)path.Length);
        path.CopyTo(_journal.AsSpan(_used + 3));
        _used += path.Length + 3;
        return true;
    }

    /// <summary>Goes through the paths.</summary>
    internal bool TryTake(ref int position, out ReadOnlySpan<byte> path, out bool removed)
    {
        path = default;
        removed = false;
        if (position >= _used)
        {
            return false;
        }

        removed = _journal[position] != 0;
        int length = System.Buffers.Binary.BinaryPrimitives.ReadUInt16LittleEndian(_journal.AsSpan(position + 1));
        path = _journal.AsSpan(position + 3, length);
        position += length + 3;
        return true;
    }
}
