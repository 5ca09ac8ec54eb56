namespace Lamina.Machine.Backends;

/// <summary>Told that a shared folder has answered.</summary>
public interface IFileSystemCompletion
{
    /// <summary>On a thread of the back end's. Takes the request back.</summary>
    void OnCompleted(FileSystemRequest request, uint written);
}
