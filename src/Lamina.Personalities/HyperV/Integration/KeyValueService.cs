using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>
/// Asks the guest's system what it is (Linux, drivers/hv/hv_kvp.c with its daemon): names and values, one after the other, every half minute. So many are kept, each as long as a message has room for.
/// </summary>
public sealed class KeyValueService : IntegrationService
{
    private const ulong Period = 30_000_000_000;
    private const int MaximumPairs = 16;
    private const int MaximumKey = 512;
    private const int MaximumValue = 2048;
    private const byte Enumerate = 3;
    private const byte AutomaticPool = 2;
    private const int IndexOffset = 4;
    private const int TypeOffset = 8;
    private const int KeySizeOffset = 12;
    private const int ValueSizeOffset = 16;
    private const int KeyOffset = 20;
    private const int ValueOffset = KeyOffset + MaximumKey;
    private const int Length = ValueOffset + MaximumValue;
    private const uint Text = 1;

    private readonly byte[][] _keys = new byte[MaximumPairs][];
    private readonly byte[][] _values = new byte[MaximumPairs][];
    private readonly int[] _keyLengths = new int[MaximumPairs];
    private readonly int[] _valueLengths = new int[MaximumPairs];
    private int _count;
    private int _next = MaximumPairs;

    /// <summary>Makes it and puts it on the bus.</summary>
    public KeyValueService(VmBusController bus)
        : base(
            bus,
            "kvp0",
            new Guid(0xa9a0f4e7, 0x5a45, 0x4d96, 0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6),
            new Guid(0x242ff919, 0x07db, 0x4180, 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55),
            IntegrationMessage.KeyValueExchange,
            [new ServiceVersion(3, 0), new ServiceVersion(4, 0), new ServiceVersion(5, 0)],
            Period)
    {
        for (int i = 0; i < MaximumPairs; i++)
        {
            _keys[i] = new byte[MaximumKey];
            _values[i] = new byte[MaximumValue];
        }
    }

    /// <summary>What the guest has said of itself. Any thread; not on a guest's path.</summary>
    /// <param name="key">The name of the value.</param>
    /// <returns>The value, a hostile string; null if the guest has said nothing of that name.</returns>
    public string? Find(string key)
    {
        Gate.Enter();
        string? found = null;
        for (int i = 0; i < _count && found is null; i++)
        {
            if (MemoryMarshal.Cast<byte, char>(_keys[i].AsSpan(0, _keyLengths[i])).SequenceEqual(key))
            {
                found = new string(MemoryMarshal.Cast<byte, char>(_values[i].AsSpan(0, _valueLengths[i])));
            }
        }

        Gate.Exit();
        return found;
    }

    /// <inheritdoc/>
    private protected override void OnAgreed() => _next = 0;

    /// <inheritdoc/>
    private protected override void OnPeriod() => _next = _next == MaximumPairs ? 0 : _next;

    /// <inheritdoc/>
    private protected override void OnContinued()
    {
    }

    /// <inheritdoc/>
    private protected override void OnLost()
    {
        _count = 0;
        _next = MaximumPairs;
    }

    /// <inheritdoc/>
    private protected override int Compose(Span<byte> body)
    {
        if (_next == MaximumPairs)
        {
            return 0;
        }

        body[0] = Enumerate;
        body[1] = AutomaticPool;
        BinaryPrimitives.WriteInt32LittleEndian(body[IndexOffset..], _next);
        return Length;
    }

    /// <inheritdoc/>
    private protected override void OnSent()
    {
    }

    // An error says that there are no more.
    /// <inheritdoc/>
    private protected override void OnAnswer(uint status, ReadOnlySpan<byte> body)
    {
        if (status != 0 || body.Length < Length || !TryTake(body, _next))
        {
            _count = Math.Min(_count, _next);
            _next = MaximumPairs;
            return;
        }

        _next++;
        _count = Math.Max(_count, _next);
    }

    /// <inheritdoc/>
    private protected override void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)(uint)_next);
        state.Write((ushort)(field + 1), (ulong)(uint)_count);
        for (int i = 0; i < _count; i++)
        {
            state.Write((ushort)(field + 2 + (2 * i)), _keys[i].AsSpan(0, _keyLengths[i]));
            state.Write((ushort)(field + 3 + (2 * i)), _values[i].AsSpan(0, _valueLengths[i]));
        }
    }

    /// <inheritdoc/>
    private protected override bool Restore(IStateReader state, ushort field)
    {
        byte next = 0;
        byte count = 0;
        bool valid = state.TryTake(field, MaximumPairs, ref next) & state.TryTake((ushort)(field + 1), MaximumPairs, ref count);
        for (int i = 0; i < count && valid; i++)
        {
            _keyLengths[i] = state.TryRead((ushort)(field + 2 + (2 * i)), _keys[i]);
            _valueLengths[i] = state.TryRead((ushort)(field + 3 + (2 * i)), _values[i]);
            valid = _keyLengths[i] >= 0 && _valueLengths[i] >= 0;
        }

        (_next, _count) = (next, count);
        return valid;
    }

    // Sizes count the zero at the end.
    private bool TryTake(ReadOnlySpan<byte> body, int index)
    {
        uint keySize = BinaryPrimitives.ReadUInt32LittleEndian(body[KeySizeOffset..]);
        uint valueSize = BinaryPrimitives.ReadUInt32LittleEndian(body[ValueSizeOffset..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(body[TypeOffset..]) != Text || keySize is < 2 or > MaximumKey || valueSize is < 2 or > MaximumValue || ((keySize | valueSize) & 1) != 0)
        {
            return false;
        }

        body.Slice(KeyOffset, MaximumKey).CopyTo(_keys[index]);
        body.Slice(ValueOffset, MaximumValue).CopyTo(_values[index]);
        (_keyLengths[index], _valueLengths[index]) = ((int)keySize - 2, (int)valueSize - 2);
        return true;
    }
}
