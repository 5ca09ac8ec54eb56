using Lamina.Machine.AddressSpaces;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>A device whose reads tell how often and where it was accessed.</summary>
internal sealed class CountingDevice : IRegisterWindow
{
    private ulong _sum = 1;

    public ulong Sum => _sum;

    /// <summary>Called by each write.</summary>
    public Action? Written { get; set; }

    public void Reset() => _sum = 1;

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        Mix(offset + (ulong)data.Length);
        for (int n = 0; n < data.Length; n++)
        {
            data[n] = (byte)(_sum >> (8 * n));
        }

        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Mix(offset);
        foreach (byte value in data)
        {
            Mix(value);
        }

        Written?.Invoke();
        return AccessResult.Done;
    }

    private void Mix(ulong value) => _sum = (_sum ^ value) * 0x9e37_79b9_7f4a_7c15;
}
