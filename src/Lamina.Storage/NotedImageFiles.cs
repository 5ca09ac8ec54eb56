using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Opens files by their paths, and notes which.</summary>
internal sealed class NotedImageFiles : IImageFiles
{
    private readonly List<ImageFile> _all = [];

    internal IReadOnlyList<ImageFile> All => _all;

    /// <inheritdoc/>
    public BlockFile Open(string path, bool writable, bool direct)
    {
        BlockFile file = BlockFile.Open(path, writable, direct);
        _all.Add(new ImageFile(path, writable, direct));
        return file;
    }
}
