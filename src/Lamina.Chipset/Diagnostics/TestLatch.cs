using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset.Diagnostics;

/// <summary>Bytes that can be written and read back at any width.</summary>
internal sealed class TestLatch(int length) : IRegisterWindow
{
    private readonly byte[] _bytes = new byte[length];

    internal Span<byte> Bytes => _bytes;

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (offset + (ulong)data.Length > (ulong)_bytes.Length)
        {
            return AccessResult.BadWidth;
        }

        _bytes.AsSpan((int)offset, data.Length).CopyTo(data);
        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset + (ulong)data.Length > (ulong)_bytes.Length)
        {
            return AccessResult.BadWidth;
        }

        data.CopyTo(_bytes.AsSpan((int)offset));
        return AccessResult.Done;
    }

    internal void Clear() => Array.Clear(_bytes);
}
