namespace Lamina.Personalities.Xen.Store;

/// <summary>A tree of named values in arrays of fixed length, so that it can be copied for a transaction and never grows. Paths are absolute and have been checked.</summary>
internal sealed partial class StoreTree
{
    /// <summary>The root's number.</summary>
    internal const int Root = 0;

    private const int None = -1;
    private const int PieceLength = StoreLimits.Piece;
    private const int PieceCount = StoreLimits.Pieces;

    private readonly StoreNode[] _nodes = new StoreNode[StoreLimits.Nodes];
    private readonly byte[] _pieces = new byte[PieceCount * PieceLength];
    private readonly int[] _nextPiece = new int[PieceCount];
    private int _freeNode;
    private int _freePiece;
    private int _pieceCount;
    private int _nodeCount;

    internal StoreTree() => Clear();

    /// <summary>Nodes that the guest owns.</summary>
    internal int GuestNodes { get; private set; }

    /// <summary>Pieces of their names and values.</summary>
    internal int GuestPieces { get; private set; }

    /// <summary>Removes everything but the root, which is the control domain's.</summary>
    internal void Clear()
    {
        for (int i = 0; i < _nodes.Length; i++)
        {
            _nodes[i].Next = i + 1 < _nodes.Length ? i + 1 : None;
        }

        for (int i = 0; i < PieceCount; i++)
        {
            _nextPiece[i] = i + 1 < PieceCount ? i + 1 : None;
        }

        _freeNode = Root + 1;
        _freePiece = 0;
        _pieceCount = PieceCount;
        _nodeCount = _nodes.Length - 1;
        GuestNodes = GuestPieces = 0;
        _nodes[Root] = CreateNode(None, new StorePermissions(DomainId.Control, 0));
    }

    /// <summary>Becomes a copy.</summary>
    internal void CopyFrom(StoreTree other)
    {
        other._nodes.CopyTo(_nodes, 0);
        other._pieces.CopyTo(_pieces, 0);
        other._nextPiece.CopyTo(_nextPiece, 0);
        (_freeNode, _freePiece, _pieceCount, _nodeCount) = (other._freeNode, other._freePiece, other._pieceCount, other._nodeCount);
        (GuestNodes, GuestPieces) = (other.GuestNodes, other.GuestPieces);
    }

    /// <summary>Finds a node.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="nearest">It, or the node above it that there is.</param>
    /// <returns>Its number, or -1.</returns>
    internal int Find(ReadOnlySpan<byte> path, out int nearest)
    {
        nearest = Root;
        while (path.Length > 1)
        {
            ReadOnlySpan<byte> name = TakeName(ref path);
            int child = FindChild(nearest, name);
            if (child == None)
            {
                return None;
            }

            nearest = child;
        }

        return nearest;
    }

    /// <summary>The permissions of a node.</summary>
    internal ref StorePermissions GetPermissions(int node) => ref _nodes[node].Permissions;

    /// <summary>Gives a node permissions.</summary>
    internal void SetPermissions(int node, in StorePermissions permissions)
    {
        int pieces = CountPieces(_nodes[node].NameLength) + CountPieces(_nodes[node].ValueLength);
        Charge(_nodes[node].Permissions, -1, -pieces);
        Charge(permissions, 1, pieces);
        _nodes[node].Permissions = permissions;
    }

    /// <summary>Whether the guest may have a value at a path, and the nodes there that are missing: both what there is and its quotas have room. What takes no more than before always has.</summary>
    internal bool HasRoom(ReadOnlySpan<byte> path, int valueLength)
    {
        int node = Root;
        int nodes = 0;
        int pieces = CountPieces(valueLength);
        while (path.Length > 1)
        {
            ReadOnlySpan<byte> name = TakeName(ref path);
            int child = nodes > 0 ? None : FindChild(node, name);
            if (child == None)
            {
                nodes++;
                pieces += CountPieces(name.Length);
            }
            else
            {
                node = child;
            }
        }

        pieces -= nodes > 0 ? 0 : CountPieces(_nodes[node].ValueLength);
        bool charged = nodes > 0 || _nodes[node].Permissions.Owner == DomainId.Guest;
        return nodes <= _nodeCount && pieces <= _pieceCount && (nodes == 0 || GuestNodes + nodes <= StoreLimits.GuestNodes)
            && (!charged || pieces <= 0 || GuestPieces + pieces <= StoreLimits.GuestPieces);
    }

    /// <summary>Makes the nodes of a path that are missing, each with the permissions of the one above it and the creator as owner.</summary>
    /// <returns>The last, or -1 if there is no room.</returns>
    internal int Create(ReadOnlySpan<byte> path, ushort creator)
    {
        int node = Root;
        while (path.Length > 1)
        {
            ReadOnlySpan<byte> name = TakeName(ref path);
            int child = FindChild(node, name);
            if (child == None)
            {
                StorePermissions permissions = _nodes[node].Permissions;
                if (creator != DomainId.Control)
                {
                    permissions.Owner = creator;
                }

                child = Add(node, name, permissions);
                if (child == None)
                {
                    return None;
                }
            }

            node = child;
        }

        return node;
    }

    /// <summary>Removes a node and all below it.</summary>
    internal void Remove(int node)
    {
        ref int link = ref _nodes[_nodes[node].Parent].FirstChild;
        while (link != node)
        {
            link = ref _nodes[link].Next;
        }

        link = _nodes[node].Next;
        _nodes[node].Next = None;

        // Leaves first: what is below a node is taken away before it.
        int at = node;
        while (true)
        {
            if (_nodes[at].FirstChild != None)
            {
                at = _nodes[at].FirstChild;
                continue;
            }

            int parent = _nodes[at].Parent;
            int next = _nodes[at].Next;
            bool last = at == node;
            Free(at);
            if (last)
            {
                return;
            }

            _nodes[parent].FirstChild = next;
            at = parent;
        }
    }

    /// <summary>Sets a value.</summary>
    /// <returns><c>false</c> if there is no room; then it is as it was.</returns>
    internal bool TrySetValue(int node, ReadOnlySpan<byte> value)
    {
        int freed = CountPieces(_nodes[node].ValueLength);
        int taken = CountPieces(value.Length);
        if (taken > _pieceCount + freed)
        {
            return false;
        }

        FreePieces(_nodes[node].Value);
        TryStore(value, out _nodes[node].Value);
        _nodes[node].ValueLength = (ushort)value.Length;
        Charge(_nodes[node].Permissions, 0, taken - freed);
        return true;
    }

    /// <summary>Copies a value.</summary>
    /// <returns>Its length.</returns>
    internal int GetValue(int node, Span<byte> destination) => Load(_nodes[node].Value, _nodes[node].ValueLength, destination);

    /// <summary>The first node below another, or -1.</summary>
    internal int GetFirstChild(int node) => _nodes[node].FirstChild;

    /// <summary>The next node beside another, or -1.</summary>
    internal int GetNext(int node) => _nodes[node].Next;

    /// <summary>Copies a name.</summary>
    /// <returns>Its length, also if that is more than there is room for.</returns>
    internal int GetName(int node, Span<byte> destination) => Load(_nodes[node].Name, _nodes[node].NameLength, destination);

    private static StoreNode CreateNode(int parent, in StorePermissions permissions)
    {
        return new StoreNode { Parent = parent, FirstChild = None, Next = None, Name = None, Value = None, Permissions = permissions };
    }

    private static ReadOnlySpan<byte> TakeName(ref ReadOnlySpan<byte> path)
    {
        path = path[1..];
        int length = path.IndexOf((byte)'/');
        ReadOnlySpan<byte> name = length < 0 ? path : path[..length];
        path = length < 0 ? default : path[length..];
        return name;
    }

    private static int CountPieces(int length) => (length + PieceLength - 1) / PieceLength;

    private void Charge(in StorePermissions permissions, int nodes, int pieces)
    {
        if (permissions.Owner == DomainId.Guest)
        {
            GuestNodes += nodes;
            GuestPieces += pieces;
        }
    }

    private int FindChild(int parent, ReadOnlySpan<byte> name)
    {
        Span<byte> other = stackalloc byte[StoreLimits.Path];
        for (int i = _nodes[parent].FirstChild; i != None; i = _nodes[i].Next)
        {
            if (_nodes[i].NameLength == name.Length && other[..GetName(i, other)].SequenceEqual(name))
            {
                return i;
            }
        }

        return None;
    }

    private int Add(int parent, ReadOnlySpan<byte> name, in StorePermissions permissions)
    {
        int node = _freeNode;
        if (node == None || !TryStore(name, out int stored))
        {
            return None;
        }

        _freeNode = _nodes[node].Next;
        _nodeCount--;
        _nodes[node] = CreateNode(parent, permissions);
        _nodes[node].Name = stored;
        _nodes[node].NameLength = (ushort)name.Length;
        Charge(permissions, 1, CountPieces(name.Length));
        ref int link = ref _nodes[parent].FirstChild;
        while (link != None)
        {
            link = ref _nodes[link].Next;
        }

        link = node;
        return node;
    }

    private void Free(int node)
    {
        Charge(_nodes[node].Permissions, -1, -CountPieces(_nodes[node].NameLength) - CountPieces(_nodes[node].ValueLength));
        FreePieces(_nodes[node].Name);
        FreePieces(_nodes[node].Value);
        _nodes[node].Next = _freeNode;
        _freeNode = node;
        _nodeCount++;
    }

    private bool TryStore(ReadOnlySpan<byte> bytes, out int first)
    {
        first = None;
        int count = CountPieces(bytes.Length);
        if (count > _pieceCount)
        {
            return false;
        }

        int last = None;
        while (bytes.Length > 0)
        {
            int piece = _freePiece;
            int length = Math.Min(bytes.Length, PieceLength);
            _freePiece = _nextPiece[piece];
            _nextPiece[piece] = None;
            bytes[..length].CopyTo(_pieces.AsSpan(piece * PieceLength));
            bytes = bytes[length..];
            if (last == None)
            {
                first = piece;
            }
            else
            {
                _nextPiece[last] = piece;
            }

            last = piece;
        }

        _pieceCount -= count;
        return true;
    }

    private int Load(int piece, int length, Span<byte> destination)
    {
        int left = Math.Min(length, destination.Length);
        while (left > 0)
        {
            int part = Math.Min(left, PieceLength);
            _pieces.AsSpan(piece * PieceLength, part).CopyTo(destination);
            destination = destination[part..];
            left -= part;
            piece = _nextPiece[piece];
        }

        return length;
    }

    private void FreePieces(int piece)
    {
        while (piece != None)
        {
            int next = _nextPiece[piece];
            _nextPiece[piece] = _freePiece;
            _freePiece = piece;
            _pieceCount++;
            piece = next;
        }
    }
}
