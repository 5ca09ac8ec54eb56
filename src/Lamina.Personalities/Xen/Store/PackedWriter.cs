using System.Buffers.Binary;

namespace Lamina.Personalities.Xen.Store;

/// <summary>Writes small numbers and strings one behind the other. What does not fit is a mistake of whoever made the buffer.</summary>
internal ref struct PackedWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;
    private int _length;

    /// <summary>What was written.</summary>
    internal readonly ReadOnlySpan<byte> Written => _buffer[.._length];

    /// <summary>Writes a number.</summary>
    internal void Put(int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer[_length..], (ushort)value);
        _length += sizeof(ushort);
    }

    /// <summary>Writes a string, and its length before it.</summary>
    internal void Put(scoped ReadOnlySpan<byte> bytes)
    {
        Put(bytes.Length);
        bytes.CopyTo(_buffer[_length..]);
        _length += bytes.Length;
    }
}
