namespace Lamina.Machine.Processors;

/// <summary>Where a processor begins that a hypervisor starts without a start-up message.</summary>
public interface IProcessorEntry
{
    /// <summary>Changes the state after INIT into the one to begin in. On the processor's own thread, while it waits.</summary>
    void Apply(ProcessorState state);
}
