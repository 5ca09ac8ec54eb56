namespace Lamina.Machine.Interrupts;

/// <summary>Interrupt controllers that an accelerator has itself, in the place of the machine's. Any thread; none of the members waits for a processor.</summary>
public interface IHostedInterrupts
{
    /// <summary>Whether it has the 8259 pair, the I/O APIC and the PIT too, and not the local APICs alone.</summary>
    bool HasLineControllers { get; }

    /// <summary>Sets who has the rest of the controllers. Once, before a processor runs.</summary>
    void Connect(IInterruptBoard board);

    /// <summary>Delivers a message (Intel SDM volume 3, section 11.11).</summary>
    /// <returns>Whether a local APIC took it.</returns>
    bool Send(ulong address, uint data);

    /// <summary>The message of an I/O APIC's input has changed. Only ends of interrupts that are named so come back to <see cref="IInterruptBoard.EndOfInterrupt"/>.</summary>
    /// <param name="pin">The input.</param>
    /// <param name="address">Address of its message.</param>
    /// <param name="data">Data of its message.</param>
    /// <param name="level">Level-triggered and not masked: the end of the interrupt is of interest.</param>
    void SetRoute(int pin, ulong address, uint data, bool level);

    /// <summary>The level of INTR, the output of the 8259 pair, has changed.</summary>
    void OnExternalInterrupt();

    /// <summary>Drives global system interrupt <paramref name="line"/>, if <see cref="HasLineControllers"/>.</summary>
    void SetLine(int line, bool asserted);

    /// <summary>The HPET takes lines 0 and 8 from the PIT and the RTC, or gives them back, if <see cref="HasLineControllers"/>.</summary>
    void SetLegacyReplacement(bool replaced);

    /// <summary>Replaces the state of the controllers that lines end in, if <see cref="HasLineControllers"/>. While no processor runs.</summary>
    void LoadLineControllers(LineControllerState state);

    /// <summary>Reads it.</summary>
    void SaveLineControllers(LineControllerState state);

    /// <summary>Pulses LINT1 of every local APIC.</summary>
    void PulseNonMaskable();
}
