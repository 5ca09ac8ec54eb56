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
    private ulong _upAt;

    /// <summary>Where the word is; null for none.</summary>
    internal ulong? Address { get; set; }

    /// <inheritdoc/>
    public bool TryRaise()
    {
        if (Address is not { } address || !memory.TryOr(address, Bit, out _))
        {
            return false;
        }

        _upAt = address;
        return true;
    }

    /// <inheritdoc/>
    public bool Lower() => !memory.TryAnd(_upAt, ~Bit, out uint before) || (before & Bit) != 0;

    /// <summary>Takes a saved address: the flag may be up there.</summary>
    internal void Restore(ulong? address)
    {
        Address = address;
        _upAt = address ?? 0;
    }
}
