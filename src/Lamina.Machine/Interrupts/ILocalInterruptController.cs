namespace Lamina.Machine.Interrupts;

/// <summary>What a software processor needs of its local APIC. All members are called on the processor's own thread.</summary>
public interface ILocalInterruptController
{
    /// <summary>Whether a maskable interrupt could be delivered now (priority above the processor's), from the APIC or, as ExtINT, from the 8259.</summary>
    bool HasInterrupt { get; }

    /// <summary>Takes the highest-priority deliverable interrupt: moves it from request to service and gives its vector.</summary>
    /// <returns><c>false</c> if it went away since (a spurious interrupt has been counted as taken by then).</returns>
    bool TryAcknowledge(out byte vector);

    /// <summary>Task priority bits 7:4, as CR8 shows them (0 to 15).</summary>
    byte TaskPriorityClass { get; set; }

    /// <summary>Reads an MSR that belongs to the APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, and the x2APIC range 0x800-0x8ff in x2APIC mode.</summary>
    /// <returns><c>false</c> if the access must raise #GP.</returns>
    bool TryReadMsr(uint index, out ulong value);

    /// <summary>Writes such an MSR.</summary>
    /// <returns><c>false</c> if the access must raise #GP.</returns>
    bool TryWriteMsr(uint index, ulong value);

    /// <summary>Whether IA32_APIC_BASE has the APIC enabled, as CPUID.1:EDX.APIC shows it.</summary>
    bool IsEnabled { get; }

    /// <summary>The x2APIC identifier (in xAPIC mode the low 8 bits).</summary>
    uint ApicId { get; }

    /// <summary>
    /// Reads the processor's own 4 KiB xAPIC page. The page is private to each processor, so it is not in the MMIO address space: a software
    /// processor compares a physical address with <see cref="PageAddress"/> itself.
    /// </summary>
    AddressSpaces.AccessResult ReadPage(ulong offset, Span<byte> data);

    /// <summary>Writes that page.</summary>
    AddressSpaces.AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data);

    /// <summary>Guest-physical base of the xAPIC page, or <see cref="ulong.MaxValue"/> when it is not mapped (disabled or x2APIC mode).</summary>
    ulong PageAddress { get; }
}
