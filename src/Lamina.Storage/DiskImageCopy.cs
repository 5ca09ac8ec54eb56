using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>A copy of a disk's image as it was at one moment, which is being made while the disk goes on.</summary>
public sealed class DiskImageCopy : IDisposable
{
    private readonly string _path;
    private readonly FileCopy _copy;

    internal DiskImageCopy(string path, FileCopy copy)
    {
        _path = path;
        _copy = copy;
    }

    /// <summary>Copies what is left. Not on a thread of the machine's.</summary>
    /// <exception cref="StorageException">The host refused something.</exception>
    public void Complete()
    {
        try
        {
            _copy.Complete();
        }
        catch (SystemCallException e)
        {
            throw new StorageException($"'{_path}' cannot be copied: {e.Reason}.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _copy.Dispose();
}
