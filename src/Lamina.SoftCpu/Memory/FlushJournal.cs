namespace Lamina.SoftCpu.Memory;

/// <summary>Which entries of a cache have been filled since its last flush, so that a flush touches no others.</summary>
/// <typeparam name="T">What names an entry.</typeparam>
internal sealed class FlushJournal<T>(int capacity)
    where T : unmanaged
{
    // Not zeroed: its pages are first touched when something is written down.
    private readonly T[] _entries = GC.AllocateUninitializedArray<T>(capacity);
    private int _count;

    /// <summary>More was filled than is written down: everything must be flushed.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>Names of the filled entries, some of them more than once.</summary>
    public ReadOnlySpan<T> Entries => _entries.AsSpan(0, _count);

    public void Add(T name)
    {
        if (_count < _entries.Length)
        {
            _entries[_count++] = name;
        }
        else
        {
            Overflowed = true;
        }
    }

    public void Reset()
    {
        _count = 0;
        Overflowed = false;
    }
}
