namespace Lamina.Personalities.Xen.Store;

/// <summary>Who may do what with a node: the owner, what all may that are not listed, and what single domains may.</summary>
internal struct StorePermissions : IEquatable<StorePermissions>
{
    /// <summary>May read.</summary>
    internal const byte Read = 1;

    /// <summary>May write.</summary>
    internal const byte Write = 2;

    private Entries _entries;

    /// <summary>Makes them, without single domains.</summary>
    internal StorePermissions(ushort owner, byte others)
    {
        _entries[0] = Pack(owner, others);
        Count = 1;
    }

    /// <summary>Number of entries.</summary>
    internal int Count { get; private set; }

    /// <summary>The domain that may do everything, and give permissions.</summary>
    internal ushort Owner
    {
        readonly get => (ushort)_entries[0];
        set => _entries[0] = Pack(value, (byte)(_entries[0] >> 16));
    }

    /// <inheritdoc/>
    public readonly bool Equals(StorePermissions other) => Count == other.Count && ((ReadOnlySpan<uint>)_entries).SequenceEqual(other._entries);

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is StorePermissions other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode() => (int)_entries[0];

    /// <summary>An entry: the domain and what it may; of the first, what the others may.</summary>
    internal readonly (ushort Domain, byte Access) Get(int index) => ((ushort)_entries[index], (byte)(_entries[index] >> 16));

    /// <summary>Adds an entry.</summary>
    internal bool TryAdd(ushort domain, byte access)
    {
        if (Count == StoreLimits.Permissions)
        {
            return false;
        }

        _entries[Count++] = Pack(domain, access);
        return true;
    }

    /// <summary>Whether a domain may do something.</summary>
    internal readonly bool Allows(ushort domain, byte access)
    {
        if (domain is DomainId.Control || domain == Owner)
        {
            return true;
        }

        byte given = (byte)(_entries[0] >> 16);
        for (int i = 1; i < Count; i++)
        {
            if ((ushort)_entries[i] == domain)
            {
                given = (byte)(_entries[i] >> 16);
                break;
            }
        }

        return (given & access) == access;
    }

    private static uint Pack(ushort domain, byte access) => domain | ((uint)access << 16);

    [System.Runtime.CompilerServices.InlineArray(StoreLimits.Permissions)]
    private struct Entries
    {
        private uint _first;
    }
}
