namespace Lamina.Virtio;

/// <summary>How a device interrupts its driver; the transport decides by which means.</summary>
internal interface IInterruptSink
{
    /// <summary>Buffers of a queue were used. Any thread.</summary>
    void RaiseQueue(ushort vector);

    /// <summary>The configuration, or the status, has changed. Any thread.</summary>
    void RaiseConfiguration();
}
