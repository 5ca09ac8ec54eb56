namespace Lamina.Personalities.Xen.Store;

/// <summary>The guest's watches, and the events that it has not been told yet. An event that waits already is not added; of more than there is room for, the guest hears nothing.</summary>
internal sealed partial class StoreWatches
{
    private readonly byte[] _paths = new byte[StoreLimits.Watches * StoreLimits.Path];
    private readonly byte[] _tokens = new byte[StoreLimits.Watches * StoreLimits.Token];
    private readonly ushort[] _pathLengths = new ushort[StoreLimits.Watches];
    private readonly ushort[] _tokenLengths = new ushort[StoreLimits.Watches];
    private readonly bool[] _relative = new bool[StoreLimits.Watches];
    private readonly byte[] _eventPaths = new byte[StoreLimits.Events * StoreLimits.Path];
    private readonly ushort[] _eventLengths = new ushort[StoreLimits.Events];
    private readonly int[] _eventWatches = new int[StoreLimits.Events];
    private int _first;
    private int _count;

    internal void Reset()
    {
        Array.Clear(_pathLengths);
        _count = 0;
    }

    /// <summary>Adds one, with an event for its own path.</summary>
    internal StoreError Add(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, bool relative)
    {
        if (token.Length > StoreLimits.Token)
        {
            return StoreError.TooBig;
        }

        if (Find(path, token) >= 0)
        {
            return StoreError.Exists;
        }

        int free = Array.IndexOf(_pathLengths, (ushort)0);
        if (free < 0)
        {
            return StoreError.TooBig;
        }

        Set(free, path, token, relative);
        Enqueue(free, path);
        return StoreError.None;
    }

    /// <summary>Removes one, and its events.</summary>
    internal StoreError Remove(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        int watch = Find(path, token);
        if (watch < 0)
        {
            return StoreError.NoEntry;
        }

        _pathLengths[watch] = 0;
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            int from = (_first + i) % StoreLimits.Events;
            int to = (_first + kept) % StoreLimits.Events;
            if (_eventWatches[from] == watch)
            {
                continue;
            }

            if (from != to)
            {
                _eventWatches[to] = _eventWatches[from];
                _eventLengths[to] = _eventLengths[from];
                _eventPaths.AsSpan(from * StoreLimits.Path, _eventLengths[from]).CopyTo(_eventPaths.AsSpan(to * StoreLimits.Path));
            }

            kept++;
        }

        _count = kept;
        return StoreError.None;
    }

    /// <summary>Makes events for a change that the guest may see.</summary>
    internal void Fire(ReadOnlySpan<byte> path, bool removed)
    {
        for (int i = 0; i < StoreLimits.Watches; i++)
        {
            if (_pathLengths[i] == 0)
            {
                continue;
            }

            ReadOnlySpan<byte> watched = GetPath(i);
            if (StorePath.IsWithin(path, watched))
            {
                Enqueue(i, path);
            }
            else if (removed && StorePath.IsWithin(watched, path))
            {
                Enqueue(i, watched);
            }
        }
    }

    /// <summary>Takes the first event: its path and its watch's token, each with a zero after it.</summary>
    /// <returns>Bytes written, or 0 if there is none.</returns>
    internal int Take(Span<byte> payload)
    {
        if (_count == 0)
        {
            return 0;
        }

        int watch = _eventWatches[_first];
        ReadOnlySpan<byte> path = _eventPaths.AsSpan(_first * StoreLimits.Path, _eventLengths[_first]);
        if (_relative[watch] && path.Length > StorePath.Home.Length)
        {
            path = path[(StorePath.Home.Length + 1)..];
        }

        ReadOnlySpan<byte> token = GetToken(watch);
        path.CopyTo(payload);
        payload[path.Length] = 0;
        token.CopyTo(payload[(path.Length + 1)..]);
        payload[path.Length + 1 + token.Length] = 0;
        _first = (_first + 1) % StoreLimits.Events;
        _count--;
        return path.Length + token.Length + 2;
    }

    private void Set(int watch, ReadOnlySpan<byte> path, ReadOnlySpan<byte> token, bool relative)
    {
        path.CopyTo(_paths.AsSpan(watch * StoreLimits.Path));
        token.CopyTo(_tokens.AsSpan(watch * StoreLimits.Token));
        _pathLengths[watch] = (ushort)path.Length;
        _tokenLengths[watch] = (ushort)token.Length;
        _relative[watch] = relative;
    }

    private ReadOnlySpan<byte> GetPath(int watch) => _paths.AsSpan(watch * StoreLimits.Path, _pathLengths[watch]);

    private ReadOnlySpan<byte> GetToken(int watch) => _tokens.AsSpan(watch * StoreLimits.Token, _tokenLengths[watch]);

    private int Find(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token)
    {
        for (int i = 0; i < StoreLimits.Watches; i++)
        {
            if (_pathLengths[i] != 0 && GetPath(i).SequenceEqual(path) && GetToken(i).SequenceEqual(token))
            {
                return i;
            }
        }

        return -1;
    }

    private void Enqueue(int watch, ReadOnlySpan<byte> path)
    {
        for (int i = 0; i < _count; i++)
        {
            int place = (_first + i) % StoreLimits.Events;
            if (_eventWatches[place] == watch && _eventPaths.AsSpan(place * StoreLimits.Path, _eventLengths[place]).SequenceEqual(path))
            {
                return;
            }
        }

        if (_count < StoreLimits.Events)
        {
            int place = (_first + _count++) % StoreLimits.Events;
            path.CopyTo(_eventPaths.AsSpan(place * StoreLimits.Path));
            _eventLengths[place] = (ushort)path.Length;
            _eventWatches[place] = watch;
        }
    }
}
