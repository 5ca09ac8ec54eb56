using System.Buffers.Binary;

namespace Lamina.Personalities.Xen.Store;

/// <summary>Reads what a <see cref="PackedWriter"/> has written. It may be anything.</summary>
internal ref struct PackedReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _left = bytes;

    /// <summary>Whether all was read.</summary>
    internal readonly bool IsEmpty => _left.IsEmpty;

    /// <summary>Reads a number.</summary>
    /// <returns><c>false</c> if there is none, or a larger one.</returns>
    internal bool TryTake(int maximum, out int value)
    {
        bool there = _left.Length >= sizeof(ushort);
        value = there ? BinaryPrimitives.ReadUInt16LittleEndian(_left) : 0;
        _left = there ? _left[sizeof(ushort)..] : default;
        return there && value <= maximum;
    }

    /// <summary>Reads a string.</summary>
    /// <returns><c>false</c> if it is not there, or longer.</returns>
    internal bool TryTake(int longest, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (!TryTake(longest, out int length) || length > _left.Length)
        {
            return false;
        }

        bytes = _left[..length];
        _left = _left[length..];
        return true;
    }
}
