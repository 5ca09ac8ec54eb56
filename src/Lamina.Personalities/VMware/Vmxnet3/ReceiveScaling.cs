using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>Which queue an arriving frame goes to (struct UPT1_RSSConf): by a hash, and a table that the driver gives.</summary>
internal sealed class ReceiveScaling
{
    private const int MaximumTable = 128;
    private const int Header = 8;
    private const int Length = Header + ReceiveHash.KeyLength + MaximumTable;
    private const ushort Toeplitz = 1;

    private readonly ReceiveHash _hash = new();
    private readonly byte[] _table = new byte[MaximumTable];
    private readonly byte[] _key = new byte[ReceiveHash.KeyLength];
    private int _count;
    private HashKinds _kinds;

    /// <summary>All frames go to the first queue.</summary>
    internal void Reset() => _count = 0;

    /// <summary>Takes the driver's settings; those that cannot be leave all frames with the first queue.</summary>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="address">Where they are.</param>
    /// <param name="queues">How many queues there are.</param>
    internal void Read(GuestMemory memory, ulong address, int queues)
    {
        Span<byte> settings = stackalloc byte[Length];
        Reset();
        if (!memory.TryRead(address, settings))
        {
            return;
        }

        HashKinds kinds = (HashKinds)BinaryPrimitives.ReadUInt16LittleEndian(settings) & HashKinds.All;
        ushort function = BinaryPrimitives.ReadUInt16LittleEndian(settings[2..]);
        int keyLength = BinaryPrimitives.ReadUInt16LittleEndian(settings[4..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(settings[6..]);
        if (function != Toeplitz || keyLength != ReceiveHash.KeyLength || !IsTable(settings[(Header + ReceiveHash.KeyLength)..], count, queues))
        {
            return;
        }

        ReadOnlySpan<byte> key = settings.Slice(Header, ReceiveHash.KeyLength);
        settings.Slice(Header + ReceiveHash.KeyLength, count).CopyTo(_table);
        if (!key.SequenceEqual(_key))
        {
            key.CopyTo(_key);
            _hash.SetKey(_key);
        }

        (_count, _kinds) = (count, kinds);
    }

    /// <summary>The queue for a frame.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="hash">Its hash.</param>
    /// <param name="kind">What the hash is made of; nothing if there is none.</param>
    internal int Select(ReadOnlySpan<byte> frame, out uint hash, out HashKinds kind)
    {
        (hash, kind) = (0, HashKinds.None);
        if (_count == 0)
        {
            return 0;
        }

        kind = _hash.Compute(frame, _kinds, out hash);
        return kind == HashKinds.None ? 0 : _table[hash % (uint)_count];
    }

    /// <summary>Writes three fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _table.AsSpan(0, _count));
        state.Write((ushort)(field + 1), _key);
        state.Write((ushort)(field + 2), (ulong)_kinds);
    }

    /// <summary>Reads them. Snapshots of before there was such have none.</summary>
    internal bool Restore(IStateReader state, ushort field, int queues)
    {
        Reset();
        if (!state.TryRead((ushort)(field + 2), out ulong kinds))
        {
            return true;
        }

        int count = state.TryRead(field, _table);
        bool valid = state.TryTake((ushort)(field + 1), _key.AsSpan()) && kinds <= (ulong)HashKinds.All && (count == 0 || IsTable(_table, count, queues));
        _hash.SetKey(_key);
        (_count, _kinds) = (valid ? count : 0, (HashKinds)kinds);
        return valid;
    }

    private static bool IsTable(ReadOnlySpan<byte> table, int count, int queues) =>
        count is > 0 and <= MaximumTable && queues > 0 && !table[..count].ContainsAnyExceptInRange((byte)0, (byte)(queues - 1));
}
