using Lamina.Machine;

namespace Lamina.Personalities.Xen.Store;

/// <summary>
/// The store of the control domain (xen/docs/misc/xenstore.txt): a tree of values with permissions, transactions and watches, and quotas for the guest. What belongs to the guest's connection is called
/// with the lock held; the members for the control domain take it themselves.
/// </summary>
internal sealed partial class XenStore
{
    private readonly StoreTransaction[] _transactions = new StoreTransaction[StoreLimits.Transactions];
    private readonly IStoreObserver?[] _observers = new IStoreObserver?[64];
    private readonly int[] _changed = new int[64];
    private readonly StoreTree _tree = new();
    private int _observerCount;
    private ulong _generation;
    private uint _lastTransaction;

    internal XenStore(ILock gate)
    {
        Gate = gate;
        for (int i = 0; i < _transactions.Length; i++)
        {
            _transactions[i] = new StoreTransaction();
        }
    }

    /// <summary>The store's lock.</summary>
    internal ILock Gate { get; }

    /// <summary>How often the tree has changed.</summary>
    internal ulong Generation => _generation;

    /// <summary>The guest's watches.</summary>
    internal StoreWatches Watches { get; } = new();

    /// <summary>Adds an observer. Any thread, without the lock.</summary>
    /// <returns><c>false</c> if there is no place.</returns>
    internal bool TryAdd(IStoreObserver observer)
    {
        Gate.Enter();
        int place = Array.IndexOf(_observers, null);
        if (place >= 0)
        {
            _changed[place] = 0;
            _observers[place] = observer;
            _observerCount = Math.Max(_observerCount, place + 1);
        }

        Gate.Exit();
        return place >= 0;
    }

    /// <summary>Forgets an observer. Any thread, without the lock; it may be told once more.</summary>
    internal void Remove(IStoreObserver observer)
    {
        Gate.Enter();
        int place = Array.IndexOf(_observers, observer);
        if (place >= 0)
        {
            _observers[place] = null;
        }

        Gate.Exit();
    }

    /// <summary>Removes a node, and what is below it, for the control domain.</summary>
    internal void Remove(ReadOnlySpan<byte> path)
    {
        Gate.Enter();
        int node = _tree.Find(path, out _);
        if (node >= 0 && node != StoreTree.Root)
        {
            _tree.Remove(node);
            _generation++;
            Fire(path, removed: true);
        }

        Gate.Exit();
    }

    /// <summary>Removes everything.</summary>
    internal void Reset()
    {
        _tree.Clear();
        Watches.Reset();
        Array.Clear(_changed);
        foreach (StoreTransaction transaction in _transactions)
        {
            transaction.End();
        }
    }

    /// <summary>Tells observers of what has changed. With no lock held.</summary>
    internal void TellObservers()
    {
        for (int i = 0; i < _observerCount; i++)
        {
            if (Interlocked.Exchange(ref _changed[i], 0) != 0)
            {
                Volatile.Read(ref _observers[i])?.OnChanged();
            }
        }
    }

    /// <summary>Writes a value for the control domain, and takes permissions for the node if there are any.</summary>
    internal void Put(ReadOnlySpan<byte> path, ReadOnlySpan<byte> value, StorePermissions? permissions = null)
    {
        Gate.Enter();
        int node = _tree.Create(path, DomainId.Control);
        if (node >= 0 && _tree.TrySetValue(node, value))
        {
            if (permissions is { } given)
            {
                _tree.SetPermissions(node, given);
            }

            _generation++;
            Fire(path, removed: false);
        }

        Gate.Exit();
    }

    /// <summary>Reads a value for the control domain.</summary>
    /// <returns>Its length, at most that of the destination, or -1 if there is none.</returns>
    internal int Get(ReadOnlySpan<byte> path, Span<byte> destination)
    {
        Gate.Enter();
        int node = _tree.Find(path, out _);
        int length = node < 0 ? -1 : Math.Min(_tree.GetValue(node, destination), destination.Length);
        Gate.Exit();
        return length;
    }

    /// <summary>The tree that a guest's operation is about.</summary>
    /// <returns><c>false</c> if there is no such transaction.</returns>
    internal bool TryGetTree(uint transaction, out StoreTree tree, out StoreTransaction? within)
    {
        within = transaction == 0 ? null : Find(transaction);
        tree = within?.Tree ?? _tree;
        return transaction == 0 || within is not null;
    }

    /// <summary>Begins a transaction.</summary>
    internal StoreError Begin(out uint number)
    {
        number = 0;
        StoreTransaction? free = Find(0);
        if (free is null)
        {
            return StoreError.NoSpace;
        }

        number = ++_lastTransaction == 0 ? ++_lastTransaction : _lastTransaction;
        free.Begin(number, _tree, _generation);
        return StoreError.None;
    }

    /// <summary>Ends a transaction.</summary>
    internal StoreError End(uint number, bool commits)
    {
        if (number == 0 || Find(number) is not { } transaction)
        {
            return StoreError.NoEntry;
        }

        transaction.End();
        if (!commits || !transaction.HasChanges)
        {
            return StoreError.None;
        }

        if (transaction.Generation != _generation)
        {
            return StoreError.Again;
        }

        _tree.CopyFrom(transaction.Tree);
        _generation++;
        int position = 0;
        while (transaction.TryTake(ref position, out ReadOnlySpan<byte> path, out bool removed))
        {
            Fire(path, removed);
        }

        return StoreError.None;
    }

    /// <summary>Ends all transactions without effect.</summary>
    internal void AbandonAll()
    {
        foreach (StoreTransaction transaction in _transactions)
        {
            transaction.End();
        }
    }

    /// <summary>Writes a value, or makes a node.</summary>
    internal StoreError Write(uint number, ReadOnlySpan<byte> path, ReadOnlySpan<byte> value, bool makesDirectory)
    {
        if (!TryGetTree(number, out StoreTree tree, out StoreTransaction? transaction))
        {
            return StoreError.NoEntry;
        }

        int node = tree.Find(path, out int nearest);
        if (!tree.GetPermissions(nearest).Allows(DomainId.Guest, StorePermissions.Write))
        {
            return StoreError.Denied;
        }

        if (value.Length > StoreLimits.Value)
        {
            return StoreError.NoSpace;
        }

        if (makesDirectory && node >= 0)
        {
            return StoreError.None;
        }

        // What is refused leaves everything as it was.
        if (!tree.HasRoom(path, value.Length) || transaction?.TryNote(path, removed: false) == false)
        {
            return StoreError.NoSpace;
        }

        node = node >= 0 ? node : tree.Create(path, DomainId.Guest);
        tree.TrySetValue(node, value);
        Changed(transaction, path, removed: false);
        return StoreError.None;
    }

    /// <summary>Removes a node and what is below it.</summary>
    internal StoreError Remove(uint number, ReadOnlySpan<byte> path)
    {
        if (!TryGetTree(number, out StoreTree tree, out StoreTransaction? transaction))
        {
            return StoreError.NoEntry;
        }

        int node = tree.Find(path, out int nearest);
        if (node < 0)
        {
            // As xenstored has it: what is below a node that is there need not be.
            return !tree.GetPermissions(nearest).Allows(DomainId.Guest, StorePermissions.Write) ? StoreError.Denied
                : tree.Find(path[..Math.Max(path.LastIndexOf((byte)'/'), 1)], out _) >= 0 ? StoreError.None : StoreError.NoEntry;
        }

        if (node == StoreTree.Root)
        {
            return StoreError.Invalid;
        }

        if (!tree.GetPermissions(node).Allows(DomainId.Guest, StorePermissions.Write))
        {
            return StoreError.Denied;
        }

        if (transaction?.TryNote(path, removed: true) == false)
        {
            return StoreError.NoSpace;
        }

        tree.Remove(node);
        Changed(transaction, path, removed: true);
        return StoreError.None;
    }

    /// <summary>Gives a node permissions.</summary>
    internal StoreError SetPermissions(uint number, ReadOnlySpan<byte> path, in StorePermissions permissions)
    {
        if (!TryGetTree(number, out StoreTree tree, out StoreTransaction? transaction))
        {
            return StoreError.NoEntry;
        }

        int node = tree.Find(path, out int nearest);
        if (node < 0)
        {
            return tree.GetPermissions(nearest).Allows(DomainId.Guest, StorePermissions.Read) ? StoreError.NoEntry : StoreError.Denied;
        }

        // The owner stays: only the control domain gives nodes away.
        if (tree.GetPermissions(node).Owner != DomainId.Guest || permissions.Owner != DomainId.Guest)
        {
            return StoreError.Denied;
        }

        if (transaction?.TryNote(path, removed: false) == false)
        {
            return StoreError.NoSpace;
        }

        tree.SetPermissions(node, permissions);
        Changed(transaction, path, removed: false);
        return StoreError.None;
    }

    private StoreTransaction? Find(uint number)
    {
        foreach (StoreTransaction transaction in _transactions)
        {
            if (transaction.Number == number)
            {
                return transaction;
            }
        }

        return null;
    }

    private void Changed(StoreTransaction? transaction, ReadOnlySpan<byte> path, bool removed)
    {
        if (transaction is null)
        {
            _generation++;
            Fire(path, removed);
        }
    }

    private void Fire(ReadOnlySpan<byte> path, bool removed)
    {
        // What the guest may not read, it does not hear of.
        _tree.Find(path, out int nearest);
        if (_tree.GetPermissions(nearest).Allows(DomainId.Guest, StorePermissions.Read))
        {
            Watches.Fire(path, removed);
        }

        for (int i = 0; i < _observerCount; i++)
        {
            if (_observers[i] is not { } observer)
            {
                continue;
            }

            ReadOnlySpan<byte> observed = observer.Observed;
            if (StorePath.IsWithin(path, observed) || (removed && StorePath.IsWithin(observed, path)))
            {
                Volatile.Write(ref _changed[i], 1);
            }
        }
    }
}
