namespace Lamina.Personalities;

/// <summary>Tells how long processors that had something to do waited for the host.</summary>
public interface IStolenTime
{
    /// <summary>Nanoseconds so far. On the event-loop thread.</summary>
    ulong GetStolen(int processor);
}
