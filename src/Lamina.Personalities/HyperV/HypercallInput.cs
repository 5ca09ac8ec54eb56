using System.Buffers.Binary;

namespace Lamina.Personalities.HyperV;

/// <summary>A copy of a hypercall's input.</summary>
internal readonly ref struct HypercallInput(HypercallControl control, HypercallShape shape, ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;

    internal HypercallControl Control => control;

    /// <summary>The fixed part of the header.</summary>
    internal ReadOnlySpan<byte> Header => _bytes[..shape.Header];

    /// <summary>Its variable part.</summary>
    internal ReadOnlySpan<byte> Variable => _bytes.Slice(shape.Header, control.VariableLength);

    /// <summary>An element of the list.</summary>
    internal ReadOnlySpan<byte> GetElement(int index) => _bytes.Slice(shape.Header + control.VariableLength + (index * shape.Element), shape.Element);

    internal uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes[offset..]);

    internal ulong Get64(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_bytes[offset..]);
}
