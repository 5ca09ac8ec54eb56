using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage;

/// <summary>A disk byte for byte in a file or on a device.</summary>
public sealed class RawImage : DiskImage
{
    private const uint PageSize = 4096;
    private readonly BlockFile _file;
    private readonly BlockFile? _direct;
    private readonly ulong _alignment;
    private ulong _length;
    private readonly PromptWriter? _writer;
    private volatile bool _canRead;
    private volatile bool _canDiscard = true;

    private RawImage(BlockFile file, BlockFile? direct, ulong alignment, bool writable, ulong length)
    {
        _file = file;
        _direct = direct;
        _alignment = alignment;
        _length = length;
        IsReadOnly = !writable;
        _canRead = direct == null;
        _writer = writable && direct == null ? new PromptWriter(file) : null;
    }

    /// <inheritdoc/>
    public override DiskFormat Format => DiskFormat.Raw;

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override string? BackingPath => null;

    /// <inheritdoc/>
    public override ulong Length => _length;

    /// <inheritdoc/>
    public override bool IsReadOnly { get; }

    /// <inheritdoc/>
    public override bool CanDiscard => !IsReadOnly && _canDiscard;

    /// <inheritdoc/>
    public override uint PreferredBlock => PageSize;

    internal override bool SuitsRing => true;

    /// <summary>Takes an open, locked file over.</summary>
    /// <param name="file">The file.</param>
    /// <param name="writable">Whether it is to be written.</param>
    /// <param name="direct">Past the host's cache, as far as requests are aligned to its blocks.</param>
    /// <param name="files">Opens it once more, for that.</param>
    /// <exception cref="StorageException">It cannot be a disk, or not past the cache.</exception>
    internal static RawImage Open(BlockFile file, bool writable, bool direct, IImageFiles files)
    {
        ulong length = file.GetLength();
        if (length % 512 != 0)
        {
            throw new StorageException($"'{file.Path}' has {length} bytes; a raw disk image has whole sectors of 512 bytes. If it is of another format, say format=.");
        }

        if (!direct)
        {
            return new RawImage(file, null, 1, writable, length);
        }

        BlockFile? past = null;
        try
        {
            past = files.Open(file.Path, writable, direct: true);
            ulong alignment = FindAlignment(past, length);
            if (alignment != 0)
            {
                return new RawImage(file, past, alignment, writable, length);
            }
        }
        catch (SystemCallException e)
        {
            throw new StorageException($"'{file.Path}' cannot be used past the host's cache (cache=none): {e.Reason}", e);
        }

        past.Dispose();
        throw new StorageException($"'{file.Path}' cannot be used past the host's cache (cache=none): its file system does not read so.");
    }

    /// <inheritdoc/>
    internal override FileCopy BeginCopy(BlockFile target) => FileCopy.Begin(_file, target, _direct);

    /// <inheritdoc/>
    public override int Read(ulong offset, ReadOnlySpan<IoVector> buffers) => ChooseFile(offset, buffers).ReadAllAt(offset, buffers);

    /// <inheritdoc/>
    public override int Write(ulong offset, ReadOnlySpan<IoVector> buffers) => ChooseFile(offset, buffers).WriteAt(offset, buffers);

    /// <inheritdoc/>
    public override int Flush() => IsReadOnly ? 0 : _file.Synchronize();

    /// <inheritdoc/>
    public override int Discard(ulong offset, ulong length)
    {
        int error = _file.Discard(offset, length);
        if (error == ErrorNumber.NotSupported)
        {
            // It was only a hint.
            _canDiscard = false;
            return 0;
        }

        return error;
    }

    /// <inheritdoc/>
    public override int WriteZeroes(ulong offset, ulong length, bool mayDiscard)
    {
        int error = mayDiscard && _canDiscard ? _file.Discard(offset, length) : _file.Zero(offset, length);
        return error is ErrorNumber.NotSupported or ErrorNumber.InvalidArgument ? WriteZeroBytes(offset, length) : error;
    }

    /// <inheritdoc/>
    public override bool TryReadNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        if (!_canRead)
        {
            return false;
        }

        int error = _file.TryReadNow(offset, buffers, length);
        _canRead = error != ErrorNumber.NotSupported;
        return error == 0;
    }

    /// <inheritdoc/>
    public override bool TryWriteNow(ulong offset, ReadOnlySpan<IoVector> buffers, ulong length)
    {
        return _writer != null && _writer.TryWrite(offset, buffers, length);
    }

    /// <inheritdoc/>
    public override int Resize(ulong length)
    {
        int error = _file.Resize(length);
        if (error == 0)
        {
            _length = length;
        }

        return error;
    }

    /// <inheritdoc/>
    public override int GetExtent(ulong offset, out DiskExtent extent)
    {
        (ulong end, bool data) = _file.GetExtent(offset, _length);
        extent = new DiskExtent(end - offset, !data, true, data ? (long)offset : -1, 0);
        return 0;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _direct?.Dispose();
        _file.Dispose();
    }

    internal override BlockFile? BeginRing(BlockOperation operation, ulong offset, ulong length, ReadOnlySpan<IoVector> buffers, out ulong place)
    {
        place = offset;
        return operation != BlockOperation.Flush ? ChooseFile(offset, buffers) : IsReadOnly ? null : _file;
    }

    // The smallest block that can be read past the cache, or 0.
    private static ulong FindAlignment(BlockFile file, ulong length)
    {
        byte[] buffer = GC.AllocateArray<byte>(2 * (int)PageSize, pinned: true);
        nint address = (Marshal.UnsafeAddrOfPinnedArrayElement(buffer, 0) + (nint)PageSize - 1) & ~((nint)PageSize - 1);
        foreach (uint block in (ReadOnlySpan<uint>)[512, PageSize])
        {
            IoVector vector = new(address, (nuint)Math.Min(block, length));
            int error = file.ReadAt(0, [vector]);
            GC.KeepAlive(buffer);
            if (error == 0)
            {
                return block;
            }
        }

        return 0;
    }

    // What is not aligned goes through the cache; the kernel keeps the two in step.
    private BlockFile ChooseFile(ulong offset, ReadOnlySpan<IoVector> buffers)
    {
        if (_direct == null)
        {
            return _file;
        }

        ulong bits = offset;
        foreach (IoVector buffer in buffers)
        {
            bits |= (ulong)buffer.Address | buffer.Length;
        }

        return (bits & (_alignment - 1)) == 0 ? _direct : _file;
    }

    private int WriteZeroBytes(ulong offset, ulong length)
    {
        byte[] zeroes = new byte[(int)Math.Min(length, 1 << 20)];
        while (length > 0)
        {
            int part = (int)Math.Min(length, (ulong)zeroes.Length);
            int error = _file.WriteAt(offset, zeroes.AsSpan(0, part));
            if (error != 0)
            {
                return error;
            }

            offset += (ulong)part;
            length -= (ulong)part;
        }

        return 0;
    }
}
