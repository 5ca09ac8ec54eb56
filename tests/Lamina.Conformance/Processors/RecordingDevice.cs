using Lamina.Machine.AddressSpaces;

namespace Lamina.Conformance.Processors;

/// <summary>A device that remembers the sum of what was done to it, and gives values that depend on it.</summary>
internal sealed class RecordingDevice : IRegisterWindow
{
    public ulong Sum { get; private set; }

    public int Count { get; private set; }

    /// <summary>Called at each access, on the processor's thread.</summary>
    public Action? Accessed { get; set; }

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        Note(offset + 0x1000, data.Length, 0);
        for (int n = 0; n < data.Length; n++)
        {
            data[n] = (byte)(Sum >> (8 * n));
        }

        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (int n = 0; n < data.Length; n++)
        {
            value |= (ulong)data[n] << (8 * n);
        }

        Note(offset, data.Length, value);
        return AccessResult.Done;
    }

    private void Note(ulong offset, int width, ulong value)
    {
        Count++;
        Sum = (Sum * 0x9e37_79b9_7f4a_7c15) + (offset * 31) + ((ulong)width * 7) + value;
        Accessed?.Invoke();
    }
}
