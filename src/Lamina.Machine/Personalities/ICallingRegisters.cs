using Lamina.Machine.Processors;

namespace Lamina.Machine.Personalities;

/// <summary>All registers of a processor that executes a hypercall: an <see cref="ICallingProcessor"/> may be one. On that processor's own thread, during the call.</summary>
public interface ICallingRegisters
{
    /// <summary>Takes the processor's state, in which it is before the instruction that makes the call.</summary>
    void SaveCaller(ProcessorState state);

    /// <summary>Reads a model-specific register as RDMSR does.</summary>
    /// <returns><c>false</c> if there is none, or it cannot be read.</returns>
    bool TryReadCallerMsr(uint index, out ulong value);

    /// <summary>Writes a model-specific register as WRMSR does, with its effects.</summary>
    /// <returns><c>false</c> if there is none, or it cannot have the value.</returns>
    bool TryWriteCallerMsr(uint index, ulong value);
}
