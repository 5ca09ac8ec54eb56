using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>
/// A ring of descriptors of 16 bytes. A bit in each says in whose turn it was written, and changes its meaning with each round; the place that is next is the device's own knowledge.
/// </summary>
internal sealed class DescriptorRing(GuestMemory memory)
{
    /// <summary>Bytes of a descriptor.</summary>
    internal const int Entry = 16;

    private const uint MaximumSize = 8192;
    private ulong _address;
    private uint _size;
    private uint _next;
    private bool _generation;

    /// <summary>Descriptors that it has; 0 while it is not set up.</summary>
    internal uint Size => _size;

    /// <summary>The place that is next.</summary>
    internal uint Next => _next;

    /// <summary>The value of the bit for what is new.</summary>
    internal bool Generation => _generation;

    /// <summary>Whether the driver has set it up.</summary>
    internal bool IsActive => _size != 0;

    internal void Reset() => _size = 0;

    /// <summary>Sets it up.</summary>
    /// <returns><c>false</c> if it is not all in RAM, or too large.</returns>
    internal bool TrySetUp(ulong address, uint size)
    {
        _address = address;
        _next = 0;
        _generation = true;
        bool valid = size is > 0 and <= MaximumSize && memory.GetHostAddress(address, size * Entry) != 0;
        _size = valid ? size : 0;
        return valid;
    }

    /// <summary>Copies the descriptor at a distance from the next place.</summary>
    /// <param name="ahead">The distance, less than the size.</param>
    /// <param name="descriptor">The copy.</param>
    /// <param name="index">Its place.</param>
    /// <param name="generation">The value of the bit that makes it new.</param>
    internal bool TryPeek(uint ahead, Span<byte> descriptor, out uint index, out bool generation)
    {
        ulong place = (ulong)_next + ahead;
        bool wraps = place >= _size;
        index = (uint)(wraps ? place - _size : place);
        generation = _generation ^ wraps;
        return ahead < _size && memory.TryRead(_address + (index * Entry), descriptor);
    }

    /// <summary>Goes on.</summary>
    internal void Advance(uint count)
    {
        _next += count;
        if (_next >= _size)
        {
            _next -= _size;
            _generation = !_generation;
        }
    }

    /// <summary>Writes a descriptor at the next place, the word with the bit last, and goes on.</summary>
    internal void Put(ReadOnlySpan<byte> descriptor)
    {
        const int LastWord = 12;
        ulong address = _address + (_next * Entry);
        memory.TryWrite(address, descriptor[..LastWord]);
        Interlocked.MemoryBarrier();
        memory.TryWrite(address + LastWord, BitConverter.ToUInt32(descriptor[LastWord..]));
        Advance(1);
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _address);
        state.Write((ushort)(field + 1), (ulong)_size);
        state.Write((ushort)(field + 2), (ulong)_next);
        state.Write((ushort)(field + 3), _generation);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        bool valid = state.TryTake(field, ref _address) & state.TryTake((ushort)(field + 1), ref _size) & state.TryTake((ushort)(field + 2), ref _next)
            & state.TryTake((ushort)(field + 3), ref _generation);
        valid &= _size == 0 || (_size <= MaximumSize && _next < _size && memory.GetHostAddress(_address, _size * Entry) != 0);
        _size = valid ? _size : 0;
        return valid;
    }
}
