using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Diagnostics;

/// <summary>A port for each interrupt line: a value other than zero asserts it, zero releases it.</summary>
internal sealed class TestLines(InterruptLine[] lines) : IRegisterWindow
{
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset >= (ulong)lines.Length)
        {
            return AccessResult.BadWidth;
        }

        lines[(int)offset].Set(LittleEndian.Get(data) != 0);
        return AccessResult.Done;
    }
}
