namespace Lamina.Machine.Interrupts;

/// <summary>A local APIC that can be handed to an accelerator which has local APICs itself, and be taken back. On the control thread, while the processor stands still.</summary>
public interface ILocalApicRecord
{
    /// <summary>Hands everything over. Requests for interrupts go with it: what is requested here afterwards came later.</summary>
    void HandOver(LocalApicState state);

    /// <summary>Takes everything back. Requests that came here since stay, unless the accelerator still takes messages: then this is a copy.</summary>
    /// <returns><c>false</c>, with the local APIC reset, if none can be in that state.</returns>
    bool TakeBack(LocalApicState state);
}
