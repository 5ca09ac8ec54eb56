namespace Lamina.Machine.Interrupts;

/// <summary>The machine's part of the interrupt controllers, as an accelerator sees it that has the others. Any thread.</summary>
public interface IInterruptBoard
{
    /// <summary>Level of INTR, the output of the 8259 pair.</summary>
    bool ExternalInterrupt { get; }

    /// <summary>A processor answers INTR.</summary>
    /// <returns>The 8259's vector.</returns>
    byte AcknowledgeExternal();

    /// <summary>A local APIC has ended a level-triggered interrupt.</summary>
    void EndOfInterrupt(byte vector);
}
