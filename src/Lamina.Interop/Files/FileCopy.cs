using System.Runtime.InteropServices;

namespace Lamina.Interop.Files;

/// <summary>
/// A copy of a file as it was at one moment, made while the file goes on being written: before a part is overwritten for the first time, it is copied. Where the file system can share content, all of it is
/// there at once. Writers may be on any threads; one copies the rest.
/// </summary>
public sealed unsafe class FileCopy : IDisposable
{
    private const int ChunkShift = 16;
    private const long ChunkSize = 1 << ChunkShift;
    private const long StepSize = 1 << 20;
    private const nuint CloneFile = 0x40049409;
    private const int SeekEnd = 2;
    private const int SeekData = 3;
    private const int SeekHole = 4;
    private readonly BlockFile[] _sources;
    private readonly BlockFile _target;
    private readonly Lock _gate = new();
    private readonly long _length;
    private readonly ulong[] _copied;
    private int _source;
    private SystemCallException? _failure;

    private FileCopy(BlockFile[] sources, BlockFile target, int source, long length)
    {
        _sources = sources;
        _target = target;
        _source = source;
        _length = length;
        _copied = new ulong[(length + (ChunkSize * 64) - 1) / (ChunkSize * 64)];
    }

    /// <summary>Begins it, while nobody writes.</summary>
    /// <param name="source">The file.</param>
    /// <param name="target">An empty file, which becomes this object's.</param>
    /// <param name="other">The same file opened once more, through which it is written, too; or null.</param>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public static FileCopy Begin(BlockFile source, BlockFile target, BlockFile? other = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        if (NativeMethods.Control(target.Descriptor, CloneFile, (void*)source.Descriptor) == 0)
        {
            return new FileCopy([], target, -1, 0);
        }

        long length = NativeMethods.Seek(source.Descriptor, 0, SeekEnd);
        if (length < 0)
        {
            throw SystemCallException.FromLastError("lseek");
        }

        if (NativeMethods.Truncate(target.Descriptor, length) != 0)
        {
            throw SystemCallException.FromLastError("ftruncate");
        }

        // The disk may be detached while it is copied.
        FileCopy copy = new(other == null ? [source] : [source, other], target, BlockFile.Duplicate(source.Descriptor), length);
        Array.ForEach(copy._sources, s => s.Copy = copy);
        return copy;
    }

    /// <summary>Copies what is left.</summary>
    /// <exception cref="SystemCallException">The host refused something, here or before a write.</exception>
    public void Complete()
    {
        for (long at = 0; at < _length && Volatile.Read(ref _failure) == null; at += StepSize)
        {
            Keep(at, Math.Min(at + StepSize, _length));
        }

        Detach();
        if (_failure != null)
        {
            throw _failure;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Detach();
        _target.Dispose();
    }

    /// <summary>Whether a range may be written without more ado.</summary>
    internal bool IsKept(ulong offset, ulong length)
    {
        long end = GetEnd(offset, length);
        for (long at = (long)Math.Min(offset, (ulong)_length) & ~(ChunkSize - 1); at < end; at += ChunkSize)
        {
            if (!IsCopied(at))
            {
                return Volatile.Read(ref _failure) != null;
            }
        }

        return true;
    }

    /// <summary>Before a range is written: copies it if that was not done before.</summary>
    internal void BeforeWrite(ulong offset, ulong length)
    {
        if (offset < (ulong)_length && !IsKept(offset, length))
        {
            Keep((long)offset & ~(ChunkSize - 1), GetEnd(offset, length));
        }
    }

    private long GetEnd(ulong offset, ulong length) => (long)(offset >= (ulong)_length ? 0 : Math.Min(length, (ulong)_length - offset) + offset);

    private bool IsCopied(long at) => (Volatile.Read(ref _copied[at >> (ChunkShift + 6)]) & (1UL << (int)((at >> ChunkShift) & 63))) != 0;

    private void Detach()
    {
        Array.ForEach(_sources, static s => s.Copy = null);
        lock (_gate)
        {
            if (_source >= 0)
            {
                _ = NativeMethods.Close(_source);
                _source = -1;
            }
        }
    }

    // From the beginning of a chunk.
    private void Keep(long from, long to)
    {
        lock (_gate)
        {
            for (long at = from; at < to && _source >= 0 && _failure == null; at += ChunkSize)
            {
                if (IsCopied(at))
                {
                    continue;
                }

                int error = CopyData(at, Math.Min(at + ChunkSize, _length), out string call);
                if (error != 0)
                {
                    Volatile.Write(ref _failure, new SystemCallException(call, error));
                    return;
                }

                Volatile.Write(ref _copied[at >> (ChunkShift + 6)], _copied[at >> (ChunkShift + 6)] | (1UL << (int)((at >> ChunkShift) & 63)));
            }
        }
    }

    // What is not a hole. A host that cannot tell has data everywhere.
    private int CopyData(long at, long end, out string call)
    {
        call = "copy_file_range";
        while (at < end)
        {
            long data = NativeMethods.Seek(_source, at, SeekData);
            if (data < 0 && Marshal.GetLastPInvokeError() == ErrorNumber.NoSuchDevice)
            {
                return 0;
            }

            long start = data < 0 ? at : data;
            if (start >= end)
            {
                return 0;
            }

            long hole = data < 0 ? -1 : NativeMethods.Seek(_source, start, SeekHole);
            at = hole < 0 ? end : Math.Min(hole, end);
            int error = CopyRange(start, at);
            if (error is ErrorNumber.InvalidArgument or ErrorNumber.NotSupported or ErrorNumber.CrossDevice)
            {
                call = "write";
                error = CopyBytes(start, at);
            }

            if (error != 0)
            {
                return error;
            }
        }

        return 0;
    }

    private int CopyRange(long from, long end)
    {
        long to = from;
        while (from < end)
        {
            // SAFETY: the kernel moves on two integers.
            nint count = NativeMethods.CopyRange(_source, &from, _target.Descriptor, &to, (nuint)(end - from), 0);
            int error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            if (error != 0 && error != ErrorNumber.Interrupted)
            {
                return error;
            }

            if (count == 0)
            {
                // The file has become shorter.
                return 0;
            }
        }

        return 0;
    }

    private int CopyBytes(long from, long end)
    {
        byte[] buffer = new byte[end - from];
        int read = 0;
        fixed (byte* p = buffer)
        {
            nint count = 1;
            while (read < buffer.Length && count != 0)
            {
                IoVector vector = new((nint)p + read, (nuint)(buffer.Length - read));

                // SAFETY: the buffer is pinned, and reaches as far as the vector says.
                count = NativeMethods.ReadVector(_source, &vector, 1, from + read);
                int error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (error != 0 && error != ErrorNumber.Interrupted)
                {
                    return error;
                }

                read += (int)Math.Max(count, 0);
            }
        }

        return _target.WriteAt((ulong)from, buffer.AsSpan(0, read));
    }
}
