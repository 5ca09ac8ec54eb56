using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>A disk byte for byte in a file or on a device.</summary>
public sealed class RawImage : DiskImage
{
    private const uint PageSize = 4096;
    private readonly BlockFile _file;
    private ulong _length;
    private volatile bool _canRead;
    private volatile bool _canWrite;
    private volatile bool _canDiscard = true;

    private RawImage(BlockFile file, bool writable, ulong length)
    {
        _file = file;
        _length = length;
        IsReadOnly = !writable;
        _canRead = true;
        _canWrite = writable;
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

    /// <summary>Takes an open, locked file over.</summary>
    /// <exception cref="StorageException">It cannot be a disk.</exception>
    internal static RawImage Open(BlockFile file, bool writable)
    {
        ulong length = file.GetLength();
        return length % 512 == 0
            ? new RawImage(file, writable, length)
            : throw new StorageException($"'{file.Path}' has {length} bytes; a raw disk image has whole sectors of 512 bytes. If it is of another format, say format=.");
    }

    /// <inheritdoc/>
    public override int Read(ulong offset, ReadOnlySpan<IoVector> buffers) => _file.ReadAllAt(offset, buffers);

    /// <inheritdoc/>
    public override int Write(ulong offset, ReadOnlySpan<IoVector> buffers) => _file.WriteAt(offset, buffers);

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
        if (!_canWrite)
        {
            return false;
        }

        int error = _file.TryWriteNow(offset, buffers, length);
        _canWrite = error != ErrorNumber.NotSupported;
        return error == 0;
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
    public override void Dispose() => _file.Dispose();

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
