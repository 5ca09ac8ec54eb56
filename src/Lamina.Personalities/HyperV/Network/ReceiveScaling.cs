using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.HyperV.Network;

/// <summary>Which of a card's channels an arriving frame goes to (NDIS_RECEIVE_SCALE_CAPABILITIES and NDIS_RECEIVE_SCALE_PARAMETERS): by a hash, and a table that the driver gives.</summary>
internal sealed class ReceiveScaling
{
    /// <summary>Most channels of a card.</summary>
    internal const int MaximumChannels = 8;

    /// <summary>Bytes of the capabilities.</summary>
    internal const int CapabilitiesLength = 18;

    private const int TableLength = 128;
    private const int ParametersLength = 28;
    private const ushort DisableFlag = 0x10;
    private const uint Toeplitz = 1;
    private const uint TcpHash = 0x200 | 0x1000;

    private readonly ReceiveHash _hash = new();
    private readonly byte[] _table = new byte[TableLength];
    private readonly byte[] _key = new byte[ReceiveHash.KeyLength];
    private int _count;
    private bool _withPorts;

    internal void Reset() => _count = 0;

    /// <summary>Writes what the card can do.</summary>
    /// <returns>Bytes that were written.</returns>
    internal static int Describe(Span<byte> value, int channels)
    {
        const byte ObjectType = 0x88;
        const byte Revision = 2;
        const uint Capabilities = 0x301;
        (value[0], value[1]) = (ObjectType, Revision);
        BinaryPrimitives.WriteUInt16LittleEndian(value[2..], CapabilitiesLength);
        BinaryPrimitives.WriteUInt32LittleEndian(value[4..], Capabilities);
        BinaryPrimitives.WriteInt32LittleEndian(value[8..], channels);
        BinaryPrimitives.WriteInt32LittleEndian(value[12..], channels);
        BinaryPrimitives.WriteUInt16LittleEndian(value[16..], TableLength);
        return CapabilitiesLength;
    }

    /// <summary>Takes parameters.</summary>
    /// <param name="value">The structure, its table and its key.</param>
    /// <param name="channels">How many channels the card can have.</param>
    internal RndisStatus Set(ReadOnlySpan<byte> value, int channels)
    {
        if (value.Length < ParametersLength)
        {
            return RndisStatus.InvalidLength;
        }

        if ((BinaryPrimitives.ReadUInt16LittleEndian(value[4..]) & DisableFlag) != 0)
        {
            _count = 0;
            return RndisStatus.Success;
        }

        uint kinds = BinaryPrimitives.ReadUInt32LittleEndian(value[8..]);
        int tableBytes = BinaryPrimitives.ReadUInt16LittleEndian(value[12..]);
        uint tableOffset = BinaryPrimitives.ReadUInt32LittleEndian(value[16..]);
        int keyBytes = BinaryPrimitives.ReadUInt16LittleEndian(value[20..]);
        uint keyOffset = BinaryPrimitives.ReadUInt32LittleEndian(value[24..]);
        int count = tableBytes / sizeof(uint);
        if (keyBytes < ReceiveHash.KeyLength || tableOffset > (uint)(value.Length - tableBytes) || tableBytes > value.Length || keyBytes > value.Length
            || keyOffset > (uint)(value.Length - keyBytes))
        {
            return RndisStatus.InvalidLength;
        }

        if ((kinds & Toeplitz) == 0 || count is 0 or > TableLength || (count & (count - 1)) != 0)
        {
            return RndisStatus.InvalidData;
        }

        ReadOnlySpan<byte> table = value.Slice((int)tableOffset, tableBytes);
        for (int i = 0; i < count; i++)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(table[(i * sizeof(uint))..]) >= (uint)channels)
            {
                return RndisStatus.InvalidData;
            }
        }

        for (int i = 0; i < count; i++)
        {
            _table[i] = table[i * sizeof(uint)];
        }

        value.Slice((int)keyOffset, ReceiveHash.KeyLength).CopyTo(_key);
        _hash.SetKey(_key);
        (_count, _withPorts) = (count, (kinds & TcpHash) != 0);
        return RndisStatus.Success;
    }

    /// <summary>The channel for a frame.</summary>
    internal int Select(ReadOnlySpan<byte> frame)
    {
        return _count != 0 && _hash.Compute(frame, _withPorts ? HashKinds.All : HashKinds.Ip4 | HashKinds.Ip6, out uint hash) != HashKinds.None ? _table[hash & (uint)(_count - 1)] : 0;
    }

    /// <summary>Writes three fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _table.AsSpan(0, _count));
        state.Write((ushort)(field + 1), _key);
        state.Write((ushort)(field + 2), _withPorts);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field, int channels)
    {
        int count = state.TryRead(field, _table);
        bool valid = state.TryTake((ushort)(field + 1), _key.AsSpan()) & state.TryTake((ushort)(field + 2), ref _withPorts);
        valid = valid && count >= 0 && (count & (count - 1)) == 0;
        for (int i = 0; i < count && valid; i++)
        {
            valid = _table[i] < channels;
        }

        _count = valid ? count : 0;
        if (_count != 0)
        {
            _hash.SetKey(_key);
        }

        return valid;
    }
}
