namespace Lamina.Machine.Interrupts;

/// <summary>Where interrupt lines end: an interrupt controller, or several joined.</summary>
public interface IInterruptLineSink
{
    /// <summary>Sets the level of global system interrupt <paramref name="line"/>. Any thread; the sink does its own locking.</summary>
    void SetLine(int line, bool asserted);
}
