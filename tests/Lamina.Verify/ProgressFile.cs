using System.IO.MemoryMappedFiles;

namespace Lamina.Verify;

/// <summary>What the comparing process and the one that waits for it tell each other: the case that is being executed, and that it is to be the last. Any thread.</summary>
internal sealed class ProgressFile : IDisposable
{
    /// <summary>Bytes of the file.</summary>
    public const int Size = 2 * sizeof(long);
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    /// <param name="path">A file of <see cref="Size"/> bytes.</param>
    public ProgressFile(string path)
    {
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, Size);
        _view = _file.CreateViewAccessor(0, Size);
    }

    /// <summary>Number of the case that is executed.</summary>
    public long Case => _view.ReadInt64(0);

    /// <summary>No further case is to be executed.</summary>
    public bool IsStopped => _view.ReadInt64(sizeof(long)) != 0;

    public void Reach(long number) => _view.Write(0, number);

    public void Stop() => _view.Write(sizeof(long), 1L);

    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }
}
