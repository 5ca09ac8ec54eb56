using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;

namespace Lamina.Personalities;

/// <summary>
/// Bit 0 of a word in guest memory by which a guest ends interrupts: KVM's MSR_KVM_PV_EOI_EN (Linux, Documentation/virt/kvm/x86/msr.rst), and the APIC assist field of Hyper-V's VP assist page (Top-Level
/// Functional Specification, section 10.3.5).
/// </summary>
internal sealed class EndOfInterruptFlag(GuestMemory memory) : IEndOfInterruptFlag
{
    private const uint Bit = 1;

    /// <summary>Where the word is; null for none. The flag is down while this changes (<see cref="IFlaggedEndOfInterrupt.Settle"/>).</summary>
    internal ulong? Address { get; set; }

    /// <inheritdoc/>
    public bool TryRaise() => Address is { } address && memory.TryOr(address, Bit, out _);

    /// <inheritdoc/>
    public bool Lower() => Address is { } address && (!memory.TryAnd(address, ~Bit, out uint before) || (before & Bit) != 0);
}
