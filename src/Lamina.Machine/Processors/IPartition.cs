using Lamina.Machine.Interrupts;

namespace Lamina.Machine.Processors;

/// <summary>One VM inside an accelerator. Disposed after its processors.</summary>
public interface IPartition : IDisposable
{
    /// <summary>Makes vCPU <paramref name="index"/> in the state after power-on reset. Number 0 is the bootstrap processor; the others wait for INIT and start-up.</summary>
    IVirtualProcessor CreateProcessor(int index);

    /// <summary>Connects a vCPU made before with its local APIC. Before it runs.</summary>
    void ConnectInterruptController(IVirtualProcessor processor, ILocalInterruptController controller);

    /// <summary>The interrupt controllers that the accelerator has itself; null if it leaves them to the machine. Processors' Save and Restore carry local APICs over.</summary>
    IHostedInterrupts? HostedInterrupts { get; }

    /// <summary>What has been translated since it was made; nothing by one that does not translate. Any thread.</summary>
    TranslationCounters Translations => default;

    /// <summary>
    /// From now on, <see cref="CollectWrites"/> tells of every page that processors write. Nothing to do for one that marks pages as it writes them. While no processor runs.
    /// </summary>
    void TrackWrites()
    {
    }

    /// <summary>Marks the pages that processors have written since <see cref="TrackWrites"/>, or since the last call, as <see cref="Memory.PageAttributes.Dirty"/>. While no processor runs.</summary>
    void CollectWrites()
    {
    }
}
