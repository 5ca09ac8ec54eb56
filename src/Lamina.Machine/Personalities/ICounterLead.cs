namespace Lamina.Machine.Personalities;

/// <summary>
/// A personality from whose records guests compute the time by the time-stamp counter. It is told where an accelerator's counters are that do not go by the machine clock: the host's counter and the host's clock
/// differ by millionths, and add up.
/// </summary>
public interface ICounterLead
{
    /// <summary>How far a processor's counter is ahead of the machine clock now. On the processor's own thread, before it first runs and then every few milliseconds of running.</summary>
    /// <param name="processor">Which processor.</param>
    /// <param name="lead">In ticks of the counter; negative if it is behind.</param>
    void OnLead(int processor, long lead);
}
