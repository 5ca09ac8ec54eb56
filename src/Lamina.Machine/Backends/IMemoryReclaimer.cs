namespace Lamina.Machine.Backends;

/// <summary>Gives memory back to the host.</summary>
public interface IMemoryReclaimer
{
    /// <summary>Takes whole pages of guest RAM from the process. The guest may use them again at any time, and finds zeroes, or what was there. Any thread; does not wait.</summary>
    void Reclaim(GuestBuffer pages);
}
