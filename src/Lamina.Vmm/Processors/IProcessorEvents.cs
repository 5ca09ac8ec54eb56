namespace Lamina.Vmm.Processors;

/// <summary>What a processor's thread reports to the machine. On that thread.</summary>
internal interface IProcessorEvents
{
    /// <summary>The processor's thread has begun.</summary>
    void ProcessorBegan();

    /// <summary>Triple fault. The processor stands still until it is reset.</summary>
    void ProcessorShutDown(int index);

    /// <summary>Another accelerator would do better. The processor goes on.</summary>
    void ProcessorUnsuited(int index, string reason);

    /// <summary>The accelerator cannot go on. The processor stands still.</summary>
    void ProcessorFailed(int index, string reason, string? details);
}
