using Lamina.Machine.Devices;

namespace Lamina.Chipset.Keyboard;

/// <summary>Sixteen bytes that wait for the guest. When it is full, further bytes are lost, as on the devices.</summary>
internal sealed class ByteQueue
{
    private const int Capacity = 16;

    private readonly byte[] _bytes = new byte[Capacity];
    private int _first;
    private int _count;

    public bool IsEmpty => _count == 0;

    public int Room => Capacity - _count;

    public void Clear() => _count = 0;

    public void Add(byte value)
    {
        if (_count < Capacity)
        {
            _bytes[(_first + _count) % Capacity] = value;
            _count++;
        }
    }

    /// <summary>Takes the oldest; only if it is not empty.</summary>
    public byte Take()
    {
        byte value = _bytes[_first];
        _first = (_first + 1) % Capacity;
        _count--;
        return value;
    }

    public void Save(IStateWriter state, ushort field)
    {
        Span<byte> waiting = stackalloc byte[Capacity];
        for (int i = 0; i < _count; i++)
        {
            waiting[i] = _bytes[(_first + i) % Capacity];
        }

        state.Write(field, waiting[.._count]);
    }

    public bool Restore(IStateReader state, ushort field)
    {
        int count = state.TryRead(field, _bytes);
        _first = 0;
        _count = Math.Max(0, count);
        return count >= 0;
    }
}
