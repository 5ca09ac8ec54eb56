namespace Lamina.Boot;

/// <summary>A kernel or an initial RAM disk, by file name or by its bytes. The file is opened when a machine is made of it.</summary>
public sealed class BootImage
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly string? _path;

    private BootImage(string name, string? path, ReadOnlyMemory<byte> bytes)
    {
        Name = name;
        _path = path;
        _bytes = bytes;
    }

    /// <summary>What messages call it: the path, or the name that was given with the bytes.</summary>
    public string Name { get; }

    /// <summary>An image in a file.</summary>
    public static BootImage FromFile(string path) => new(path, path, default);

    /// <summary>An image in memory. The bytes may not change while a machine uses them.</summary>
    public static BootImage FromBytes(ReadOnlyMemory<byte> bytes, string name) => new(name, null, bytes);

    /// <summary>Opens the image. Every machine opens its own.</summary>
    /// <exception cref="BootException">The file is missing, is not a plain file, or cannot be read.</exception>
    public BootImageReader Open() => _path == null ? new BootImageReader(Name, _bytes) : BootImageReader.OpenFile(_path);
}
