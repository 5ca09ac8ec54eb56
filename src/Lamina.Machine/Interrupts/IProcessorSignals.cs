namespace Lamina.Machine.Interrupts;

/// <summary>What an interrupt controller or a hypervisor can do to a processor. Any thread; none of them waits.</summary>
public interface IProcessorSignals
{
    /// <summary>A maskable interrupt may have become deliverable: look at the controller again, and wake from HLT.</summary>
    void SignalInterrupt();

    /// <summary>Non-maskable interrupt.</summary>
    void SignalNonMaskable();

    /// <summary>System-management interrupt. A machine without SMM ignores it.</summary>
    void SignalSystemManagement();

    /// <summary>Ends the present HLT, or else the next one, without an interrupt.</summary>
    void SignalKick();

    /// <summary>INIT: the processor resets and waits for a start-up message.</summary>
    void SignalInit();

    /// <summary>Start-up message: real mode at <paramref name="vector"/> * 4096, if the processor is waiting for it.</summary>
    void SignalStartUp(byte vector);

    /// <summary>Whether it executes, or an interrupt would have it do so: it waits for no start-up message, does not stand still, and has not halted with interrupts masked.</summary>
    bool IsUp { get; }

    /// <summary>Whether it waits for a start-up message.</summary>
    bool WaitsForStartUp { get; }

    /// <summary>Starts the processor as an entry says, if it is waiting for a start-up message. It goes on waiting if it cannot be in that state.</summary>
    void SignalBegin(Processors.IProcessorEntry entry);

    /// <summary>Has the processor stand still behind the instruction under way, whatever comes, until it is to go on. INIT ends that, too, and has it wait for a start-up message.</summary>
    void SignalStandStill();

    /// <summary>Ends that.</summary>
    void SignalGoOn();
}
