using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>An interrupt controller that delivers what a test queues.</summary>
internal sealed class FakeController : ILocalInterruptController
{
    public Queue<byte> Vectors { get; } = [];

    public bool HasInterrupt => Vectors.Count != 0;

    public byte TaskPriorityClass { get; set; }

    public bool IsEnabled => true;

    public uint ApicId => 0;

    public ulong PageAddress => ulong.MaxValue;

    public bool TryAcknowledge(out byte vector) => Vectors.TryDequeue(out vector);

    public bool TryReadMsr(uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteMsr(uint index, ulong value) => false;

    public AccessResult ReadPage(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Unclaimed;
}
