using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Opens files by their paths.</summary>
public sealed class HostImageFiles : IImageFiles
{
    /// <summary>It.</summary>
    public static HostImageFiles Instance { get; } = new();

    /// <inheritdoc/>
    public BlockFile Open(string path, bool writable, bool direct) => BlockFile.Open(path, writable, direct);
}
