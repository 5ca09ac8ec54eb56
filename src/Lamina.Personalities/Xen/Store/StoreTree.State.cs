using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Store;

/// <content>The saved state: the nodes, each before those below it, and these in their order: depth, name, permissions, value.</content>
internal sealed partial class StoreTree
{
    // Besides names and values.
    private const int SavedNodeLength = sizeof(ushort) * (4 + (2 * StoreLimits.Permissions));

    /// <summary>Most bytes of a saved tree.</summary>
    internal const int SavedLength = (StoreLimits.Nodes * SavedNodeLength) + (PieceCount * PieceLength);

    // Paths have so many names at most.
    private const int Deepest = StoreLimits.Path / 2;

    /// <summary>Writes a field.</summary>
    /// <param name="state">Where to.</param>
    /// <param name="field">Its number.</param>
    /// <param name="buffer">Room for <see cref="SavedLength"/> bytes.</param>
    internal void Save(IStateWriter state, ushort field, Span<byte> buffer)
    {
        PackedWriter writer = new(buffer);
        int node = Root;
        int depth = 0;
        while (node != None)
        {
            Put(ref writer, node, depth);
            if (_nodes[node].FirstChild != None)
            {
                node = _nodes[node].FirstChild;
                depth++;
                continue;
            }

            while (node != Root && _nodes[node].Next == None)
            {
                node = _nodes[node].Parent;
                depth--;
            }

            node = node == Root ? None : _nodes[node].Next;
        }

        state.Write(field, writer.Written);
    }

    /// <summary>Reads it.</summary>
    /// <returns><c>false</c> if it is no tree; then there is only the root.</returns>
    internal bool Restore(IStateReader state, ushort field, Span<byte> buffer)
    {
        Clear();
        int length = state.TryRead(field, buffer[..SavedLength]);
        PackedReader reader = new(buffer[..Math.Max(length, 0)]);
        Span<int> above = stackalloc int[Deepest + 1];
        Span<int> lengths = stackalloc int[Deepest + 1];
        bool valid = length > 0 && TryTakeRoot(ref reader);
        (above[0], lengths[0]) = (Root, 0);
        int depth = 0;
        while (valid && !reader.IsEmpty)
        {
            valid = reader.TryTake(Math.Min(depth + 1, Deepest), out depth) & reader.TryTake(StoreLimits.Path, out ReadOnlySpan<byte> name) && depth > 0
                && StorePath.IsName(name) && lengths[depth - 1] + 1 + name.Length <= StoreLimits.Path && TryTakeNode(ref reader, above[depth - 1], name, out above[depth]);
            if (valid)
            {
                lengths[depth] = lengths[depth - 1] + 1 + name.Length;
            }
        }

        if (!valid)
        {
            Clear();
        }

        return valid;
    }

    private static bool TryTake(ref PackedReader reader, out StorePermissions permissions)
    {
        permissions = default;
        bool valid = reader.TryTake(StoreLimits.Permissions, out int count) && count > 0;
        for (int i = 0; i < count && valid; i++)
        {
            valid = reader.TryTake(ushort.MaxValue, out int domain) & reader.TryTake(StorePermissions.Read | StorePermissions.Write, out int access);
            if (i == 0)
            {
                permissions = new StorePermissions((ushort)domain, (byte)access);
            }
            else
            {
                permissions.TryAdd((ushort)domain, (byte)access);
            }
        }

        return valid;
    }

    private bool TryTakeRoot(ref PackedReader reader)
    {
        if (!reader.TryTake(0, out int _) || !reader.TryTake(0, out ReadOnlySpan<byte> _) || !TryTake(ref reader, out StorePermissions permissions)
            || !reader.TryTake(StoreLimits.Payload, out ReadOnlySpan<byte> value) || !TrySetValue(Root, value))
        {
            return false;
        }

        SetPermissions(Root, permissions);
        return true;
    }

    private bool TryTakeNode(ref PackedReader reader, int parent, ReadOnlySpan<byte> name, out int node)
    {
        node = None;
        if (!TryTake(ref reader, out StorePermissions permissions) || !reader.TryTake(StoreLimits.Payload, out ReadOnlySpan<byte> value) || FindChild(parent, name) != None)
        {
            return false;
        }

        node = Add(parent, name, permissions);
        return node != None && TrySetValue(node, value);
    }

    private void Put(ref PackedWriter writer, int node, int depth)
    {
        Span<byte> bytes = stackalloc byte[StoreLimits.Payload];
        writer.Put(depth);
        writer.Put(bytes[..Math.Min(GetName(node, bytes), bytes.Length)]);
        StorePermissions permissions = _nodes[node].Permissions;
        writer.Put(permissions.Count);
        for (int i = 0; i < permissions.Count; i++)
        {
            (ushort domain, byte access) = permissions.Get(i);
            writer.Put(domain);
            writer.Put(access);
        }

        writer.Put(bytes[..Math.Min(GetValue(node, bytes), bytes.Length)]);
    }
}
