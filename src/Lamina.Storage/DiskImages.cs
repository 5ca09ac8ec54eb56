using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Opens disk images.</summary>
public static class DiskImages
{
    private static ReadOnlySpan<byte> Qcow2Magic => [0x51, 0x46, 0x49, 0xfb];

    /// <summary>The format that a file's name stands for. What a guest writes must not decide it.</summary>
    public static DiskFormat GetFormatByName(string path)
    {
        return path.EndsWith(".qcow2", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".qcow", StringComparison.OrdinalIgnoreCase) ? DiskFormat.Qcow2 : DiskFormat.Raw;
    }

    /// <summary>Opens an image and locks it.</summary>
    /// <param name="path">The file, or block device.</param>
    /// <param name="format">Its format; null goes by the name, and refuses a raw image that looks like another format.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <exception cref="StorageException">It cannot be opened, or is in use.</exception>
    public static DiskImage Open(string path, DiskFormat? format, bool writable)
    {
        BlockFile? file = null;
        try
        {
            file = BlockFile.Open(path, writable);
            ImageLock.Take(file, writable);
            DiskFormat chosen = format ?? GetFormatByName(path);
            if (format == null && chosen == DiskFormat.Raw && LooksLikeQcow2(file))
            {
                throw new StorageException($"'{path}' has the content of a qcow2 image and not its name. Say which it is: format=qcow2 or format=raw.");
            }

            return chosen == DiskFormat.Raw ? RawImage.Open(file, writable) : throw new StorageException($"'{path}': qcow2 images cannot be opened yet.");
        }
        catch (SystemCallException e)
        {
            file?.Dispose();
            throw new StorageException($"'{path}' cannot be {(writable ? "opened for writing" : "opened")}: {e.Reason}", e);
        }
        catch
        {
            file?.Dispose();
            throw;
        }
    }

    private static bool LooksLikeQcow2(BlockFile file)
    {
        Span<byte> start = stackalloc byte[4];
        return file.ReadAt(0, start) == 0 && start.SequenceEqual(Qcow2Magic);
    }
}
