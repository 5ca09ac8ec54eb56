namespace Lamina.Machine.Pci;

/// <summary>The interrupt pins of a bus, as its functions drive them.</summary>
public interface IPciPins
{
    /// <summary>Drives a pin of a device (0 is INTA). The line that it is wired to is asserted while any function asserts it. Any thread.</summary>
    void SetPin(int device, int pin, bool asserted);

    /// <summary>A pin as it was saved: the line's level is in the interrupt controller's state and is not driven again.</summary>
    void RestorePin(int device, int pin, bool asserted);
}
