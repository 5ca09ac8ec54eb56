using Lamina.Machine.Backends;
using Lamina.Machine.Memory;

namespace Lamina.Virtio.Queue;

/// <summary>
/// One buffer that the driver made available: parts to read, then parts to write, each checked to be RAM. Filled by <see cref="Virtqueue.Pop"/>; made at construction
/// of a device and used over and over. A descriptor's range is one part, or two where it lies in two regions of RAM.
/// </summary>
internal sealed class DescriptorChain(GuestMemory memory, int capacity)
{
    private readonly GuestBuffer[] _parts = new GuestBuffer[capacity + memory.Seams];
    private int _count;
    private int _readableCount;

    /// <summary>Most descriptors of one buffer.</summary>
    public uint Capacity => (uint)capacity;

    /// <summary>Most parts of one buffer.</summary>
    public int MaximumParts => _parts.Length;

    /// <summary>The buffer's name for the ring.</summary>
    public ushort Id { get; private set; }

    /// <summary>How many places of a packed ring it takes.</summary>
    public ushort RingSlots { get; private set; }

    /// <summary>Bytes for the device to read.</summary>
    public ulong ReadableLength { get; private set; }

    /// <summary>Bytes for the device to write.</summary>
    public ulong WritableLength { get; private set; }

    /// <summary>What the device may read.</summary>
    public ReadOnlySpan<GuestBuffer> Readable => _parts.AsSpan(0, _readableCount);

    /// <summary>What the device may write.</summary>
    public ReadOnlySpan<GuestBuffer> Writable => _parts.AsSpan(_readableCount, _count - _readableCount);

    /// <summary>Copies bytes out of the readable parts.</summary>
    /// <returns>How many there were, at most what was asked for.</returns>
    public int Read(ulong offset, Span<byte> destination) => GuestBuffers.Read(memory, Readable, offset, destination);

    /// <summary>Copies bytes into the writable parts.</summary>
    /// <returns>How many fitted.</returns>
    public int Write(ulong offset, ReadOnlySpan<byte> source) => GuestBuffers.Write(memory, Writable, offset, source);

    internal void Begin(ushort id)
    {
        Id = id;
        RingSlots = 0;
        _count = 0;
        _readableCount = 0;
        ReadableLength = 0;
        WritableLength = 0;
    }

    internal void End(ushort id, ushort ringSlots)
    {
        Id = id;
        RingSlots = ringSlots;
    }

    /// <summary>Adds what a descriptor names.</summary>
    /// <returns><c>false</c> if it is not RAM, is readable after a writable one, or is one too many.</returns>
    internal bool TryAdd(in Descriptor descriptor, bool writable)
    {
        if (descriptor.Length == 0)
        {
            return true;
        }

        if ((!writable && _count != _readableCount) || !GuestBuffers.TryAdd(memory, _parts, ref _count, descriptor.Address, descriptor.Length))
        {
            return false;
        }

        if (writable)
        {
            WritableLength += descriptor.Length;
        }
        else
        {
            _readableCount = _count;
            ReadableLength += descriptor.Length;
        }

        return true;
    }
}
