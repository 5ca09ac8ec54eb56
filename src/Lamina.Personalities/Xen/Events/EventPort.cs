namespace Lamina.Personalities.Xen.Events;

/// <summary>One event channel.</summary>
internal struct EventPort
{
    /// <summary>What it is bound to.</summary>
    public PortState State;

    /// <summary>FIFO: its queue of the processor's, from 0, the first, to 15.</summary>
    public byte Priority;

    /// <summary>FIFO: the queue that it was put into last.</summary>
    public byte LastPriority;

    /// <summary>The processor that hears of it.</summary>
    public ushort Processor;

    /// <summary>FIFO: the processor whose queue it was put into last.</summary>
    public ushort LastProcessor;

    /// <summary>The domain at the other end.</summary>
    public ushort Domain;

    /// <summary>The virtual interrupt, or the physical one.</summary>
    public uint Virq;

    /// <summary>The processor whose virtual interrupt it is.</summary>
    public ushort VirqProcessor;

    /// <summary>The control domain's end; null if it has none.</summary>
    public IEventTarget? Target;
}
