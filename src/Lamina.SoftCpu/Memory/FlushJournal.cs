namespace Lamina.SoftCpu.Memory;

/// <summary>Which entries of a cache have been filled since its last flush, so that a flush touches no others.</summary>
internal sealed class FlushJournal(int capacity)
{
    private readonly ushort[] _entries = new ushort[capacity];
    private int _count;

    /// <summary>More was filled than is written down: everything must be flushed.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>Indexes of the filled entries, some of them more than once.</summary>
    public ReadOnlySpan<ushort> Entries => _entries.AsSpan(0, _count);

    public void Add(int index)
    {
        if (_count < _entries.Length)
        {
            _entries[_count++] = (ushort)index;
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
