namespace Lamina.Machine.Interrupts;

/// <summary>Takes message-signalled interrupts (PCI 3.0, section 6.8; Intel SDM volume 3, section 11.11).</summary>
public interface IMessageInterruptSink
{
    /// <summary>Delivers the message. Any thread. A message that names no processor or no valid mode vanishes.</summary>
    void Send(ulong address, uint data);

    /// <summary>Whether a function sends the message although its vector is masked: the hypervisor that the guest sees has another way to mask it. Any thread.</summary>
    bool IgnoresMask(ulong address, uint data) => false;
}
