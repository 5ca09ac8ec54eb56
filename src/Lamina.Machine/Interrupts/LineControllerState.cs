namespace Lamina.Machine.Interrupts;

/// <summary>The state of the interrupt controllers that lines end in, and of the interval timer, whoever holds them: the machine, or an accelerator.</summary>
public sealed class LineControllerState
{
    /// <summary>Inputs of the I/O APIC.</summary>
    public const int PinCount = 24;

    /// <summary>The 8259s: the primary and the secondary.</summary>
    public PicState[] Pics { get; } = new PicState[2];

    /// <summary>The I/O APIC's redirection table, with remote IRR (82093AA datasheet, section 3.2.4).</summary>
    public ulong[] Redirections { get; } = new ulong[PinCount];

    /// <summary>The I/O APIC's register select.</summary>
    public byte Select { get; set; }

    /// <summary>The I/O APIC's identifier.</summary>
    public byte Id { get; set; }

    /// <summary>Levels of the global system interrupts, a bit each.</summary>
    public uint Levels { get; set; }

    /// <summary>The 8254's counters.</summary>
    public CounterState[] Counters { get; } = new CounterState[3];

    /// <summary>Bit 1 of system control port B.</summary>
    public bool SpeakerData { get; set; }

    /// <summary>The HPET has taken lines 0 and 8 from the 8254 and the RTC.</summary>
    public bool LegacyReplacement { get; set; }
}
