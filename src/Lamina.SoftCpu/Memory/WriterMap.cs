namespace Lamina.SoftCpu.Memory;

/// <summary>
/// Which entries for writes a TLB may hold of a page of the host, so that they are found again without a look at all of them. Entries that have been displaced stay
/// named; a bucket that has no more room says so, until <see cref="Begin"/> fills it anew.
/// </summary>
internal sealed unsafe class WriterMap
{
    private const int Buckets = 2048;
    private const int Depth = 4;

    private readonly (nint Host, ulong Name)[] _writers = new (nint, ulong)[Buckets * Depth];
    private readonly bool[] _full = new bool[Buckets];

    /// <summary>Remembers an entry.</summary>
    /// <param name="host">The page's host address, not 0.</param>
    /// <param name="name">What the caller finds the entry by.</param>
    public void Add(nint host, ulong name)
    {
        int bucket = BucketOf(host);
        foreach (ref (nint Host, ulong Name) writer in _writers.AsSpan(bucket * Depth, Depth))
        {
            if (writer.Host == 0)
            {
                writer = (host, name);
                return;
            }

            if (writer.Host == host && writer.Name == name)
            {
                return;
            }
        }

        _full[bucket] = true;
    }

    /// <summary>Takes the names of a page's entries out. False: there may be more than are known.</summary>
    /// <param name="host">The page's host address.</param>
    /// <param name="names">At least four places.</param>
    /// <param name="count">How many were found.</param>
    public bool TryTake(nint host, Span<ulong> names, out int count)
    {
        count = 0;
        int bucket = BucketOf(host);
        foreach (ref (nint Host, ulong Name) writer in _writers.AsSpan(bucket * Depth, Depth))
        {
            if (writer.Host == host)
            {
                names[count++] = writer.Name;
                writer = default;
            }
        }

        return !_full[bucket];
    }

    /// <summary>Empties the bucket of a page; every entry of which <see cref="IsBeside"/> tells that it belongs there is to be added again.</summary>
    public void Begin(nint host)
    {
        int bucket = BucketOf(host);
        _writers.AsSpan(bucket * Depth, Depth).Clear();
        _full[bucket] = false;
    }

    /// <summary>Whether two pages share a bucket.</summary>
    public static bool IsBeside(nint host, nint other) => BucketOf(host) == BucketOf(other);

    private static int BucketOf(nint host) => (int)((host >> 12) ^ (host >> 22)) & (Buckets - 1);
}
