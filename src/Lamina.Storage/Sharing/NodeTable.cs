using Lamina.Interop.Files;

namespace Lamina.Storage.Sharing;

/// <summary>
/// The files that a guest knows, by the numbers it knows them by. Each is held by a descriptor as long as the guest remembers it, so that it stays the same file whatever its names
/// become. Every method may be called by several threads.
/// </summary>
internal sealed class NodeTable : IDisposable
{
    /// <summary>The number of the folder itself.</summary>
    public const ulong Root = 1;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Node> _nodes = [];
    private readonly Dictionary<(ulong Device, ulong Inode), Node> _byIdentity = [];
    private readonly int _root;
    private readonly DescriptorShare _share;
    private ulong _next = Root + 1;

    /// <summary>Makes it.</summary>
    /// <param name="root">The folder's descriptor, which becomes this table's.</param>
    /// <param name="share">What the files that the guest knows are taken from.</param>
    public NodeTable(int root, DescriptorShare share)
    {
        _root = root;
        _share = share;
    }

    /// <summary>Number of files that the guest remembers.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _nodes.Count;
            }
        }
    }

    /// <summary>Finds the held descriptor of a file, which stays open until <see cref="Release"/>.</summary>
    public bool TryAcquire(ulong number, out int held)
    {
        if (number == Root)
        {
            held = _root;
            return true;
        }

        lock (_lock)
        {
            bool found = _nodes.TryGetValue(number, out Node? node) && node.Held >= 0;
            held = -1;
            if (found)
            {
                node!.Users++;
                held = node.Held;
            }

            return found;
        }
    }

    /// <summary>Ends the use of a file that was acquired.</summary>
    public void Release(ulong number)
    {
        lock (_lock)
        {
            if (_nodes.TryGetValue(number, out Node? node))
            {
                node.Users--;
                CloseIfUnused(node);
            }
        }
    }

    /// <summary>The guest learns of a file. The descriptor becomes this table's, or is closed if the file is known, or the guest knows too many.</summary>
    /// <returns>The file's number; 0 if there are too many.</returns>
    public ulong Remember(int held, in FileStatus status)
    {
        (ulong, ulong) identity = (((ulong)status.DeviceMajor << 32) | status.DeviceMinor, status.Inode);
        lock (_lock)
        {
            if (_byIdentity.TryGetValue(identity, out Node? node))
            {
                FolderCalls.Close(held);
            }
            else if (!_share.TryTake())
            {
                FolderCalls.Close(held);
                return 0;
            }
            else
            {
                node = new Node { Number = _next++, Held = held, Identity = identity };
                _nodes.Add(node.Number, node);
                _byIdentity.Add(identity, node);
            }

            node.Lookups++;
            return node.Number;
        }
    }

    /// <summary>The guest forgets a file that it has learned of so many times.</summary>
    public void Forget(ulong number, ulong lookups)
    {
        lock (_lock)
        {
            if (_nodes.TryGetValue(number, out Node? node))
            {
                node.Lookups -= Math.Min(lookups, node.Lookups);
                CloseIfUnused(node);
            }
        }
    }

    /// <summary>The guest has forgotten everything. While nothing is in use.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (Node node in _nodes.Values)
            {
                node.Lookups = 0;
            }

            foreach (Node node in _nodes.Values.ToArray())
            {
                CloseIfUnused(node);
            }
        }
    }

    /// <summary>The number that the next file gets.</summary>
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

    /// <summary>All files that the guest remembers: number, how often it has learned of it, and the descriptor, negative for one that is not there. While nothing is in use.</summary>
    public IReadOnlyList<(ulong Number, ulong Lookups, int Held)> List()
    {
        lock (_lock)
        {
            return [.. _nodes.Values.Select(static n => (n.Number, n.Lookups, n.Held))];
        }
    }

    /// <summary>Makes a file known again under its number. While nothing is in use.</summary>
    /// <param name="number">The number.</param>
    /// <param name="lookups">How often the guest has learned of it.</param>
    /// <param name="held">Its descriptor, which becomes this table's; negative for a file that is not there any more.</param>
    /// <param name="status">The file's status, if it is there.</param>
    /// <returns><c>false</c> if the number cannot be, and then the descriptor stays the caller's.</returns>
    public bool TryAdd(ulong number, ulong lookups, int held, in FileStatus status)
    {
        lock (_lock)
        {
            (ulong, ulong) identity = (((ulong)status.DeviceMajor << 32) | status.DeviceMinor, status.Inode);
            Node node = new() { Number = number, Held = held, Identity = identity, Lookups = lookups };
            if (number <= Root || lookups == 0 || _nodes.ContainsKey(number) || (held >= 0 && !_share.TryTake()))
            {
                return false;
            }

            _nodes.Add(number, node);

            // Two files of before may be one now; the guest then goes on with two numbers for it.
            if (held >= 0 && !_byIdentity.TryAdd(identity, node))
            {
                node.IsSecond = true;
            }

            _next = Math.Max(_next, number + 1);
            return true;
        }
    }

    /// <summary>No file gets a number below this.</summary>
    public void SkipTo(ulong next)
    {
        lock (_lock)
        {
            _next = Math.Max(_next, next);
        }
    }

    public void Dispose()
    {
        Clear();
        FolderCalls.Close(_root);
    }

    private void CloseIfUnused(Node node)
    {
        if (node.Lookups == 0 && node.Users == 0)
        {
            _nodes.Remove(node.Number);
            if (node.Held >= 0 && !node.IsSecond)
            {
                _byIdentity.Remove(node.Identity);
            }

            if (node.Held >= 0)
            {
                FolderCalls.Close(node.Held);
                _share.Return();
            }
        }
    }

    private sealed class Node
    {
        public required ulong Number { get; init; }

        public required int Held { get; init; }

        public required (ulong Device, ulong Inode) Identity { get; init; }

        public ulong Lookups { get; set; }

        public bool IsSecond { get; set; }

        public int Users { get; set; }
    }
}
