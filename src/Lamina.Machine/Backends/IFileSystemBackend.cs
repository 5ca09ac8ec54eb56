namespace Lamina.Machine.Backends;

/// <summary>A shared folder, which speaks FUSE.</summary>
public interface IFileSystemBackend
{
    /// <summary>Begins to serve a message. Any thread; does not wait. The owner is told, on another thread.</summary>
    void Submit(FileSystemRequest request);

    /// <summary>Waits until every message submitted before has been answered. Not on a vCPU thread.</summary>
    void Drain();
}
