using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Store;

/// <content>The saved state: the tree, watches, and transactions that are under way. With the lock held.</content>
internal sealed partial class XenStore
{
    private const ushort SavedTree = 2;
    private const ushort SavedWatches = 3;
    private const ushort SavedTransactions = 8;
    private const int SavedPerTransaction = 4;

    /// <summary>Writes up to 40 fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        byte[] buffer = new byte[Math.Max(StoreTree.SavedLength, StoreWatches.SavedLength)];
        state.Write(field, _generation);
        state.Write((ushort)(field + 1), (ulong)_lastTransaction);
        _tree.Save(state, (ushort)(field + SavedTree), buffer);
        Watches.Save(state, (ushort)(field + SavedWatches), buffer);
        for (int i = 0; i < _transactions.Length; i++)
        {
            _transactions[i].Save(state, (ushort)(field + SavedTransactions + (i * SavedPerTransaction)), buffer);
        }
    }

    /// <summary>Reads them. Observers look again at what they look at.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        byte[] buffer = new byte[Math.Max(StoreTree.SavedLength, StoreWatches.SavedLength)];
        bool valid = state.TryTake(field, ref _generation) & state.TryTake((ushort)(field + 1), ref _lastTransaction) & _tree.Restore(state, (ushort)(field + SavedTree), buffer)
            & Watches.Restore(state, (ushort)(field + SavedWatches), buffer);
        for (int i = 0; i < _transactions.Length && valid; i++)
        {
            valid = _transactions[i].Restore(state, (ushort)(field + SavedTransactions + (i * SavedPerTransaction)), buffer) && IsUnique(i);
        }

        if (!valid)
        {
            Reset();
        }

        Array.Fill(_changed, 1, 0, _observerCount);
        return valid;
    }

    private bool IsUnique(int index)
    {
        uint number = _transactions[index].Number;
        for (int i = 0; i < index && number != 0; i++)
        {
            if (_transactions[i].Number == number)
            {
                return false;
            }
        }

        return true;
    }
}
