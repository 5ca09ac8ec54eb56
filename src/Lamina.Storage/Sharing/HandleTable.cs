using Lamina.Interop.Files;

namespace Lamina.Storage.Sharing;

/// <summary>The files and directories that a guest has open. Every method may be called by several threads.</summary>
/// <param name="share">What they are taken from.</param>
internal sealed class HandleTable(DescriptorShare share) : IDisposable
{
    private const int Maximum = 1 << 16;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Handle> _handles = [];
    private ulong _next = 1;

    /// <summary>Takes an open descriptor over.</summary>
    /// <returns>Its number, or 0 if there are too many, and then it is closed.</returns>
    public ulong Add(int open)
    {
        lock (_lock)
        {
            if (_handles.Count >= Maximum || !share.TryTake())
            {
                FolderCalls.Close(open);
                return 0;
            }

            _handles.Add(_next, new Handle { Open = open });
            return _next++;
        }
    }

    /// <summary>Finds an open descriptor, which stays open until <see cref="Release"/>.</summary>
    public bool TryAcquire(ulong number, out int open)
    {
        lock (_lock)
        {
            open = -1;
            if (!_handles.TryGetValue(number, out Handle? handle) || handle.Closed)
            {
                return false;
            }

            handle.Users++;
            open = handle.Open;
            return true;
        }
    }

    /// <summary>Ends the use of one that was acquired.</summary>
    public void Release(ulong number)
    {
        lock (_lock)
        {
            if (_handles.TryGetValue(number, out Handle? handle))
            {
                handle.Users--;
                CloseIfUnused(number, handle);
            }
        }
    }

    /// <summary>The guest closes it.</summary>
    public void Close(ulong number)
    {
        lock (_lock)
        {
            if (_handles.TryGetValue(number, out Handle? handle))
            {
                handle.Closed = true;
                CloseIfUnused(number, handle);
            }
        }
    }

    /// <summary>The guest has forgotten everything.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach ((ulong number, Handle handle) in _handles.ToArray())
            {
                handle.Closed = true;
                CloseIfUnused(number, handle);
            }
        }
    }

    /// <summary>The number that the next one gets.</summary>
    public ulong Next
    {
        get
        {
            lock (_lock)
            {
                return _next;
            }
        }
    }

    /// <summary>All that are open. While nothing is in use.</summary>
    public IReadOnlyList<(ulong Number, int Open)> List()
    {
        lock (_lock)
        {
            return [.. _handles.Select(static h => (h.Key, h.Value.Open))];
        }
    }

    /// <summary>Takes an open descriptor over under a number that it had. While nothing is in use.</summary>
    /// <returns><c>false</c> if that cannot be, and then the descriptor stays the caller's.</returns>
    public bool TryAdd(ulong number, int open)
    {
        lock (_lock)
        {
            if (number == 0 || _handles.Count >= Maximum || _handles.ContainsKey(number) || !share.TryTake())
            {
                return false;
            }

            _handles.Add(number, new Handle { Open = open });

            _next = Math.Max(_next, number + 1);
            return true;
        }
    }

    /// <summary>None gets a number below this.</summary>
    public void SkipTo(ulong next)
    {
        lock (_lock)
        {
            _next = Math.Max(_next, next);
        }
    }

    public void Dispose() => Clear();

    private void CloseIfUnused(ulong number, Handle handle)
    {
        if (handle.Closed && handle.Users == 0)
        {
            _handles.Remove(number);
            FolderCalls.Close(handle.Open);
            share.Return();
        }
    }

    private sealed class Handle
    {
        public required int Open { get; init; }

        public bool Closed { get; set; }

        public int Users { get; set; }
    }
}
