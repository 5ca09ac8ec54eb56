using Microsoft.Win32.SafeHandles;

namespace Lamina.Boot;

/// <summary>An opened <see cref="BootImage"/>. It stays readable while the machine lives, because every reset loads it again.</summary>
public sealed class BootImageReader : IDisposable
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly SafeFileHandle? _file;

    internal BootImageReader(string name, ReadOnlyMemory<byte> bytes)
    {
        Name = name;
        _bytes = bytes;
        Length = bytes.Length;
    }

    private BootImageReader(string name, SafeFileHandle file, long length)
    {
        Name = name;
        _file = file;
        Length = length;
    }

    /// <summary>What messages call it.</summary>
    public string Name { get; }

    /// <summary>Length in bytes.</summary>
    public long Length { get; }

    internal static BootImageReader OpenFile(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                throw new BootException($"'{path}' is a directory, not a file.");
            }

            SafeFileHandle file = File.OpenHandle(path);
            try
            {
                return new BootImageReader(path, file, RandomAccess.GetLength(file));
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BootException($"'{path}' does not exist.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BootException($"'{path}' cannot be read: permission denied.", e);
        }
        catch (Exception e) when (e is IOException or NotSupportedException or ArgumentException)
        {
            throw new BootException($"'{path}' cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads exactly <c>destination.Length</c> bytes at <paramref name="offset"/>.</summary>
    /// <exception cref="BootException">The image ends before, or reading fails.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > Length || destination.Length > Length - offset)
        {
            throw new BootException($"'{Name}' is truncated: it ends at byte {Length}, and {destination.Length} bytes at {offset} are needed.");
        }

        if (_file == null)
        {
            _bytes.Span.Slice((int)offset, destination.Length).CopyTo(destination);
            return;
        }

        try
        {
            while (!destination.IsEmpty)
            {
                int count = RandomAccess.Read(_file, destination, offset);
                if (count == 0)
                {
                    throw new BootException($"'{Name}' became shorter while it was read.");
                }

                destination = destination[count..];
                offset += count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BootException($"'{Name}' cannot be read: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file?.Dispose();
}
