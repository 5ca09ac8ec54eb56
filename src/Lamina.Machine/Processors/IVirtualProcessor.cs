namespace Lamina.Machine.Processors;

/// <summary>One vCPU of any accelerator.</summary>
public interface IVirtualProcessor : Interrupts.IProcessorSignals, IDisposable
{
    /// <summary>Position in the machine, 0 to 63.</summary>
    int Index { get; }

    /// <summary>Runs guest code on the calling thread (always the same one) until something needs the machine's attention.</summary>
    ProcessorExit Run();

    /// <summary>Makes a <see cref="Run"/> that is under way, or else the next one, return <see cref="ProcessorExitReason.Requested"/> soon. Any thread; requests do not add up.</summary>
    void RequestExit();

    /// <summary>Copies the architectural state out. Only while no <see cref="Run"/> is under way.</summary>
    void Save(ProcessorState state);

    /// <summary>Replaces the architectural state.</summary>
    /// <returns><c>false</c>, with the processor reset, if no x86 processor can be in that state.</returns>
    bool Restore(ProcessorState state);

    /// <summary>Has the next write to each page mark it as dirty again. Only while no <see cref="Run"/> is under way; nothing to do for an accelerator whose partition collects writes.</summary>
    void ForgetWritablePages()
    {
    }

    /// <summary>Instructions retired since creation; an accelerator that cannot count gives 0.</summary>
    ulong InstructionsRetired { get; }

    /// <summary>What it has counted since creation. Any thread.</summary>
    ProcessorCounters Counters { get; }
}
