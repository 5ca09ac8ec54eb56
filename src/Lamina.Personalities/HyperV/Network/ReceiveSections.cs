namespace Lamina.Personalities.HyperV.Network;

/// <summary>The parts of a guest's receive buffer, each for a packet that is on its way to the driver: which of them are free.</summary>
internal sealed class ReceiveSections
{
    /// <summary>Most parts.</summary>
    internal const int MaximumCount = 2048;

    private const short None = -1;

    private readonly ushort[] _free = new ushort[MaximumCount];
    private readonly bool[] _used = new bool[MaximumCount];

    // What is given back together with a part.
    private readonly short[] _next = new short[MaximumCount];
    private int _freeCount;

    /// <summary>Number of parts.</summary>
    internal int Count { get; private set; }

    /// <summary>Bytes of each.</summary>
    internal uint Size { get; private set; }

    /// <summary>Sets up so many of a size.</summary>
    internal void Set(int count, uint size)
    {
        (Count, Size, _freeCount) = (count, size, count);
        for (int i = 0; i < count; i++)
        {
            _free[i] = (ushort)(count - 1 - i);
            _used[i] = false;
        }
    }

    /// <summary>Takes a part.</summary>
    /// <param name="reserve">So many have to be left.</param>
    /// <param name="section">Its number.</param>
    /// <returns><c>false</c> if there is none.</returns>
    internal bool TryTake(int reserve, out int section)
    {
        section = 0;
        if (_freeCount <= reserve)
        {
            return false;
        }

        section = _free[--_freeCount];
        _used[section] = true;
        _next[section] = None;
        return true;
    }

    /// <summary>Takes so many parts, which are given back as one: by the first.</summary>
    /// <returns><c>false</c> if there are not so many.</returns>
    internal bool TryTake(int reserve, Span<int> sections)
    {
        if (_freeCount - reserve < sections.Length)
        {
            return false;
        }

        for (int i = sections.Length - 1; i >= 0; i--)
        {
            TryTake(0, out sections[i]);
            _next[sections[i]] = i + 1 < sections.Length ? (short)sections[i + 1] : None;
        }

        return true;
    }

    /// <summary>Gives a part back, with those that belong to it. One that is free, or none at all, is left alone.</summary>
    internal void Release(ulong section)
    {
        while (section < (uint)Count && _used[section])
        {
            _used[section] = false;
            _free[_freeCount++] = (ushort)section;
            section = (ulong)_next[section];
        }
    }
}
