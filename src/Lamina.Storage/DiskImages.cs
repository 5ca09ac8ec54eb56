using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Storage.Qcow2;

namespace Lamina.Storage;

/// <summary>Opens disk images.</summary>
public static class DiskImages
{
    private const int MaximumChain = 64;

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
    public static DiskImage Open(string path, DiskFormat? format, bool writable) => Open(path, format, writable, direct: false);

    /// <summary>Opens an image and locks it.</summary>
    /// <param name="path">The file, or block device.</param>
    /// <param name="format">Its format; null goes by the name, and refuses a raw image that looks like another format.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="direct">Past the host's cache: for raw images alone.</param>
    /// <exception cref="StorageException">It cannot be opened so, or is in use.</exception>
    public static DiskImage Open(string path, DiskFormat? format, bool writable, bool direct) => Open(path, format, writable, direct, HostImageFiles.Instance);

    /// <summary>Opens an image and locks it.</summary>
    /// <param name="path">The file, or block device.</param>
    /// <param name="format">Its format; null goes by the name, and refuses a raw image that looks like another format.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="direct">Past the host's cache: for raw images alone.</param>
    /// <param name="files">Opens its files.</param>
    /// <exception cref="StorageException">It cannot be opened so, or is in use.</exception>
    public static DiskImage Open(string path, DiskFormat? format, bool writable, bool direct, IImageFiles files) => Open(path, format, writable, [], writesBelow: false, files, direct);

    /// <summary>The files that <see cref="Open(string, DiskFormat?, bool, bool, IImageFiles)"/> opens, in that order.</summary>
    /// <exception cref="StorageException">The image cannot be opened so, or is in use.</exception>
    public static IReadOnlyList<ImageFile> FindFiles(string path, DiskFormat? format, bool writable, bool direct)
    {
        NotedImageFiles files = new();
        Open(path, format, writable, direct, files).Dispose();
        return files.All;
    }

    /// <summary>Opens a qcow2 image and its backing image, both for writing.</summary>
    internal static DiskImage OpenForCommit(string path) => Open(path, DiskFormat.Qcow2, writable: true, [], writesBelow: true, HostImageFiles.Instance);

    /// <summary>Opens a qcow2 image for writing without its backing image, which need not be there.</summary>
    internal static DiskImage OpenAlone(string path) => Open(path, DiskFormat.Qcow2, writable: true, null, writesBelow: false, HostImageFiles.Instance);

    /// <summary>Makes an empty image in a new file.</summary>
    /// <param name="path">The file, which must not exist.</param>
    /// <param name="format">Its format.</param>
    /// <param name="length">Bytes of the disk, a multiple of 512; null for the backing image's.</param>
    /// <param name="backing">What the disk's content is where the image says nothing, for qcow2; or null.</param>
    /// <param name="isDurable">Whether it is to outlive a crash of the host from now on; a disk that goes with its machine need not.</param>
    /// <exception cref="StorageException">That is not possible.</exception>
    public static void Create(string path, DiskFormat format, ulong? length, string? backing, bool isDurable = true)
    {
        DiskFormat backingFormat = DiskFormat.Raw;
        if (backing != null)
        {
            if (format != DiskFormat.Qcow2)
            {
                throw new StorageException("Only a qcow2 image can have a backing image.");
            }

            using DiskImage below = Open(backing, null, writable: false);
            backingFormat = below.Format;
            length ??= below.Length;
        }

        ulong size = length ?? throw new StorageException($"'{path}' needs a size.");
        if (size is 0 or > Qcow2Creation.MaximumLength || size % 512 != 0)
        {
            throw new StorageException($"'{path}' cannot have {size} bytes: a disk has 512 bytes to 1 PiB, in whole sectors of 512 bytes.");
        }

        string? backingName = backing == null ? null : Path.GetFullPath(backing);
        if (backingName != null && System.Text.Encoding.UTF8.GetByteCount(backingName) > Qcow2Header.MaximumBackingName)
        {
            throw new StorageException($"'{path}' cannot rest on '{backingName}': the name of a backing image has at most {Qcow2Header.MaximumBackingName} bytes.");
        }

        BlockFile? file = null;
        try
        {
            file = BlockFile.CreateNew(path);
            if (format == DiskFormat.Raw)
            {
                int error = file.Resize(size);
                if (error != 0)
                {
                    throw new SystemCallException("ftruncate", error);
                }
            }
            else
            {
                Qcow2Creation.Write(file, size, backingName, backingFormat, isDurable);
            }
        }
        catch (SystemCallException e)
        {
            if (file != null)
            {
                File.Delete(path);
            }

            throw new StorageException($"'{path}' cannot be made: {e.Reason}", e);
        }
        finally
        {
            file?.Dispose();
        }
    }

    private static DiskImage Open(string path, DiskFormat? format, bool writable, HashSet<string>? above, bool writesBelow, IImageFiles files, bool direct = false)
    {
        BlockFile? file = null;
        try
        {
            file = files.Open(path, writable, direct: false);
            ImageLock.Take(file, writable);
            DiskFormat chosen = format ?? GetFormatByName(path);
            if (format == null && chosen == DiskFormat.Raw && LooksLikeQcow2(file))
            {
                throw new StorageException($"'{path}' has the content of a qcow2 image and not its name. Say which it is: format=qcow2 or format=raw.");
            }

            if (direct && chosen != DiskFormat.Raw)
            {
                throw new StorageException($"'{path}' is a qcow2 image; cache=none is for raw images and block devices.");
            }

            return chosen == DiskFormat.Raw
                ? RawImage.Open(file, writable, direct, files)
                : Qcow2Image.Open(file, writable, (name, backingFormat) => above == null ? null : OpenBacking(path, name, backingFormat, above, writesBelow, files));
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

    // A chain is as long as the names in it, and each image is in it once.
    private static DiskImage OpenBacking(string path, string name, string? format, HashSet<string> above, bool writable, IImageFiles files)
    {
        above.Add(Path.GetFullPath(path));
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        if (colon > 0 && !name.AsSpan(0, colon).Contains('/'))
        {
            throw new StorageException($"'{path}' has the backing image '{name}'; only files are supported.");
        }

        string full = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, name));
        if (above.Contains(full) || above.Count >= MaximumChain)
        {
            throw new StorageException($"'{path}' has the backing image '{full}', which leads back to itself or has too many below it.");
        }

        DiskFormat? known = format switch
        {
            null => null,
            "raw" => DiskFormat.Raw,
            "qcow2" => DiskFormat.Qcow2,
            _ => throw new StorageException($"'{path}' has a backing image of the format '{format}', which is not supported."),
        };
        try
        {
            return Open(full, known, writable, above, writesBelow: false, files);
        }
        catch (StorageException e)
        {
            throw new StorageException($"'{path}' needs its backing image: {e.Message}", e);
        }
    }

    private static bool LooksLikeQcow2(BlockFile file)
    {
        Span<byte> start = stackalloc byte[4];
        return file.ReadAt(0, start) == 0 && start.SequenceEqual(Qcow2Magic);
    }
}
