namespace Lamina.Machine.Interrupts;

/// <summary>Has global system interrupts go somewhere else than to the interrupt controllers.</summary>
public interface IInterruptDiversion
{
    /// <summary>Those for which it can be asked, a bit each. The interval timer's is never among them: an accelerator may have the timer.</summary>
    uint Interrupts { get; }

    /// <summary>
    /// Has the changes of one go to <paramref name="sink"/> from now on, while the controllers find it low, or back to the controllers, which find it as it is. Any thread; not from within the sink.
    /// </summary>
    /// <param name="interrupt">One of <see cref="Interrupts"/>.</param>
    /// <param name="sink">Who hears of it, by its number; null for the controllers.</param>
    /// <returns>Whether it is asserted. The sink may hear of that, too.</returns>
    bool Divert(int interrupt, IInterruptLineSink? sink);
}
