using System.Runtime.InteropServices;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>The parts of a guest's receive buffer, each for a packet that is on its way to the driver: which of them are free.</summary>
internal sealed class ReceiveSections
{
    /// <summary>Most parts.</summary>
    internal const int MaximumCount = 2048;

    private const short None = -1;
    private const short Free = -2;

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

    /// <summary>Writes three fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        Span<short> parts = stackalloc short[MaximumCount];
        for (int i = 0; i < Count; i++)
        {
            parts[i] = _used[i] ? _next[i] : Free;
        }

        state.Write(field, (ulong)(uint)Count);
        state.Write((ushort)(field + 1), (ulong)Size);
        state.Write((ushort)(field + 2), MemoryMarshal.AsBytes(parts[..Count]));
    }

    /// <summary>Reads them. What is given back together is in use.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        Span<short> parts = stackalloc short[MaximumCount];
        Set(0, 0);
        ushort count = 0;
        uint size = 0;
        bool valid = state.TryTake(field, ref count) & state.TryTake((ushort)(field + 1), ref size);
        if (!valid || count > MaximumCount || !state.TryTake((ushort)(field + 2), MemoryMarshal.AsBytes(parts[..count])))
        {
            return false;
        }

        parts = parts[..count];
        foreach (short part in parts)
        {
            valid &= part is None or Free || (part >= 0 && part < count && parts[part] != Free);
        }

        if (!valid)
        {
            return false;
        }

        (Count, Size) = (count, size);
        for (int i = count - 1; i >= 0; i--)
        {
            _used[i] = parts[i] != Free;
            _next[i] = parts[i];
            if (!_used[i])
            {
                _free[_freeCount++] = (ushort)i;
            }
        }

        return true;
    }
}
