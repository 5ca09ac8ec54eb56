using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>An interrupt controller that delivers what a test queues.</summary>
internal sealed class FakeController : ILocalInterruptController
{
    public Queue<byte> Vectors { get; } = [];

    public bool HasInterrupt => Vectors.Count != 0;

    public byte TaskPriorityClass { get; set; }

    public bool IsEnabled { get; set; } = true;

    public uint ApicId { get; set; }

    public ulong PageAddress { get; set; } = ulong.MaxValue;

    /// <summary>Accesses of its page.</summary>
    public List<string> Accesses { get; } = [];

    public bool TryAcknowledge(out byte vector) => Vectors.TryDequeue(out vector);

    public bool TryReadMsr(uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteMsr(uint index, ulong value) => false;

    public AccessResult ReadPage(ulong offset, Span<byte> data)
    {
        Accesses.Add($"read {offset:x} {data.Length}");
        data.Fill(0x55);
        return AccessResult.Done;
    }

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data)
    {
        Accesses.Add($"write {offset:x} {Convert.ToHexString(data)}");
        return AccessResult.Done;
    }
}
