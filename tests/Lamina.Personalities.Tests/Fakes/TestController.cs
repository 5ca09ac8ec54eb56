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

    /// <summary>In x2APIC mode: its registers; null in xAPIC mode.</summary>
    public Dictionary<uint, ulong>? Registers { get; init; }

    public bool TryReadMsr(uint index, out ulong value)
    {
        value = 0;
        return Registers?.TryGetValue(index, out value) == true;
    }

    public bool TryWriteMsr(uint index, ulong value)
    {
        if (Registers is not null)
        {
            Registers[index] = value;
        }

        return Registers is not null;
    }

    public AccessResult ReadPage(ulong offset, Span<byte> data)
    {
        BitConverter.TryWriteBytes(data, Written.FindLast(w => w.Offset == offset).Value);
        return AccessResult.Done;
    }

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data)
    {
        Written.Add((offset, BitConverter.ToUInt32(data)));
        return AccessResult.Done;
    }
}
