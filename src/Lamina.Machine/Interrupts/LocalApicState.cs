namespace Lamina.Machine.Interrupts;

/// <summary>The architectural state of one local APIC (Intel SDM volume 3, table 11-1 and section 11.5.4.1), the same whoever holds it: the machine, or an accelerator.</summary>
public sealed class LocalApicState
{
    /// <summary>Number of registers of the page, 16 bytes apart.</summary>
    public const int RegisterCount = 64;

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong Base { get; set; }

    /// <summary>When IA32_TSC_DEADLINE fires, in ticks of the machine clock at the frequency of the time-stamp counter; 0 when disarmed.</summary>
    public ulong TscDeadline { get; set; }

    /// <summary>The registers by page offset / 16. In x2APIC mode the identifier too is in bits 31:24; the current count is what is left of the timer's.</summary>
    public uint[] Registers { get; } = new uint[RegisterCount];
}
