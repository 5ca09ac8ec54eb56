namespace Lamina.Machine.Interrupts;

/// <summary>A local interrupt controller that can leave one vector out of its priorities: a hypervisor's own interrupt, which the guest does not end.</summary>
public interface IDirectVector
{
    /// <summary>The vector that does not go into service when it is delivered; 0 for none. Any thread.</summary>
    byte DirectVector { get; set; }
}
