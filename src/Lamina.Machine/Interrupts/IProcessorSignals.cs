namespace Lamina.Machine.Interrupts;

/// <summary>What an interrupt controller can do to a processor. Any thread; none of them waits.</summary>
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
}
