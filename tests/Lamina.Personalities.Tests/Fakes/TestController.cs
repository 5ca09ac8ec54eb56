using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A local APIC that keeps what is written to its page.</summary>
internal class TestController : ILocalInterruptController
{
    public List<(ulong Offset, uint Value)> Written { get; } = [];

    public bool HasInterrupt => false;

    public byte TaskPriorityClass { get; set; }

    public bool IsEnabled => true;

    public uint ApicId => 0;

    public ulong PageAddress => 0xfee0_0000;

    public bool TryAcknowledge(out byte vector)
    {
        vector = 0;
        return false;
    }

    public bool TryReadMsr(uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteMsr(uint index, ulong value) => false;

    public AccessResult ReadPage(ulong offset, Span<byte> data)
    {
        data.Clear();
        return AccessResult.Done;
    }

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data)
    {
        Written.Add((offset, BitConverter.ToUInt32(data)));
        return AccessResult.Done;
    }
}
