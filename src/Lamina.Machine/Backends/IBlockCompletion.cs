namespace Lamina.Machine.Backends;

/// <summary>Told that block requests have ended.</summary>
public interface IBlockCompletion
{
    /// <summary>On a thread of the back end's. Takes the request back.</summary>
    void OnCompleted(BlockRequest request);
}
