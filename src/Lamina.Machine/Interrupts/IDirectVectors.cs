namespace Lamina.Machine.Interrupts;

/// <summary>A local interrupt controller that can leave vectors out of its priorities: a hypervisor's own interrupts, which the guest does not end.</summary>
public interface IDirectVectors
{
    /// <summary>Says whether a vector goes into service when it is delivered, as it does at first. Any thread.</summary>
    /// <param name="vector">The vector.</param>
    /// <param name="isDirect">Whether it does not.</param>
    void SetDirect(byte vector, bool isDirect);

    /// <summary>Has all vectors go into service. Any thread.</summary>
    void ClearDirect();
}
