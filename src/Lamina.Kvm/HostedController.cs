using Lamina.Interop.Kvm;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.Kvm;

/// <summary>
/// A local APIC that KVM has, as an instruction sees it that the interpreter executes in KVM's place. Its page cannot be reached so: no kernel uses there what KVM cannot emulate,
/// because the architecture promises nothing for it.
/// </summary>
internal sealed class HostedController(KvmVirtualProcessor processor, int index) : ILocalInterruptController
{
    private const ulong EnableFlag = 1 << 11;

    public bool HasInterrupt => false;

    public byte TaskPriorityClass { get; set; }

    public bool IsEnabled => processor.TryGetMsr(KvmMsrs.ApicBase, out ulong value) && (value & EnableFlag) != 0;

    public uint ApicId => (uint)index;

    public ulong PageAddress => ulong.MaxValue;

    public bool TryAcknowledge(out byte vector)
    {
        vector = 0;
        return false;
    }

    public bool TryReadMsr(uint index, out ulong value) => processor.TryGetMsr(index, out value);

    public bool TryWriteMsr(uint index, ulong value) => processor.TrySetMsr(index, value);

    public AccessResult ReadPage(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Unclaimed;
}
