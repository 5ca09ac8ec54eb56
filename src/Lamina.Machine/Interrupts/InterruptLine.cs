namespace Lamina.Machine.Interrupts;

/// <summary>One wire from a device to whatever interrupt controllers there are. The default value is a wire that ends nowhere.</summary>
public readonly struct InterruptLine(IInterruptLineSink sink, int number)
{
    private readonly IInterruptLineSink? _sink = sink;

    /// <summary>The global system interrupt number (ACPI 6.5, section 5.2.13).</summary>
    public int Number { get; } = number;

    /// <summary>Drives the wire.</summary>
    public void Set(bool asserted) => _sink?.SetLine(Number, asserted);

    /// <summary>One edge: asserts, then releases.</summary>
    public void Pulse()
    {
        _sink?.SetLine(Number, true);
        _sink?.SetLine(Number, false);
    }
}
