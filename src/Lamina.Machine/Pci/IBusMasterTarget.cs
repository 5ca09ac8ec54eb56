namespace Lamina.Machine.Pci;

/// <summary>A device that has something to do when its function may read and write memory again.</summary>
public interface IBusMasterTarget
{
    /// <summary>The guest lets the function read and write memory, after it did not. On the thread of the processor that says so, with no lock held.</summary>
    void OnBusMaster();
}
