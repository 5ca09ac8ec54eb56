using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage;

/// <summary>
/// Serves a device's requests from a disk image. What the host has in memory is read and written at once, on the thread that asks; everything else is done by a few threads of
/// this object, which are started when there is work for them.
/// </summary>
public sealed class DiskBackend : IBlockBackend, IDisposable
{
    private const int MaximumThreads = 4;
    private const int MaximumVectors = 256;
    private readonly DiskImage _image;
    private readonly object _gate = new();
    private readonly Thread?[] _threads = new Thread?[MaximumThreads];
    private BlockRequest? _first;
    private BlockRequest? _last;
    private int _threadCount;
    private int _idle;
    private int _pending;
    private bool _closed;

    /// <summary>Serves an image, which it disposes at its end.</summary>
    public DiskBackend(DiskImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        _image = image;
    }

    /// <inheritdoc/>
    public ulong Length => _image.Length & ~511UL;

    /// <inheritdoc/>
    public bool IsReadOnly => _image.IsReadOnly;

    /// <inheritdoc/>
    public bool CanDiscard => _image.CanDiscard;

    /// <inheritdoc/>
    public uint PreferredBlock => _image.PreferredBlock;

    /// <inheritdoc/>
    public bool Submit(BlockRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Operation is BlockOperation.Read or BlockOperation.Write && TryNow(request))
        {
            request.Result = BlockResult.Done;
            return true;
        }

        lock (_gate)
        {
            request.Next = null;
            if (_last == null)
            {
                _first = request;
            }
            else
            {
                _last.Next = request;
            }

            _last = request;
            _pending++;
            if (_idle > 0)
            {
                Monitor.Pulse(_gate);
            }
            else if (_threadCount < MaximumThreads)
            {
                Thread thread = new(Work) { Name = "disk", IsBackground = true };
                _threads[_threadCount++] = thread;
                thread.Start();
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public void Drain()
    {
        lock (_gate)
        {
            while (_pending > 0)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Ends the threads and closes the image. No request is under way.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }

        foreach (Thread? thread in _threads)
        {
            thread?.Join();
        }

        _image.Dispose();
    }

    private bool TryNow(BlockRequest request)
    {
        Span<IoVector> vectors = stackalloc IoVector[MaximumVectors];
        if (!TryGetVectors(request, vectors, out int count))
        {
            return false;
        }

        return request.Operation == BlockOperation.Read
            ? _image.TryReadNow(request.Offset, vectors[..count], request.Length)
            : _image.TryWriteNow(request.Offset, vectors[..count], request.Length);
    }

    private static bool TryGetVectors(BlockRequest request, Span<IoVector> vectors, out int count)
    {
        count = request.BufferCount;
        if (count > vectors.Length)
        {
            return false;
        }

        for (int i = 0; i < count; i++)
        {
            GuestBuffer buffer = request.Buffers[i];
            vectors[i] = new IoVector(buffer.HostAddress, buffer.Length);
        }

        return true;
    }

    private void Work()
    {
        while (true)
        {
            BlockRequest request;
            lock (_gate)
            {
                _idle++;
                while (_first == null)
                {
                    if (_closed)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                }

                _idle--;
                request = _first;
                _first = request.Next;
                if (_first == null)
                {
                    _last = null;
                }
            }

            int error = Execute(request);
            request.Complete(error == 0 ? BlockResult.Done : BlockResult.Failed);
            lock (_gate)
            {
                if (--_pending == 0)
                {
                    Monitor.PulseAll(_gate);
                }
            }
        }
    }

    private int Execute(BlockRequest request)
    {
        switch (request.Operation)
        {
            case BlockOperation.Flush:
                return _image.Flush();
            case BlockOperation.Discard:
                return _image.Discard(request.Offset, request.Length);
            case BlockOperation.WriteZeroes:
                return _image.WriteZeroes(request.Offset, request.Length, request.MayDiscard);
            default:
                Span<IoVector> vectors = stackalloc IoVector[MaximumVectors];
                if (!TryGetVectors(request, vectors, out int count))
                {
                    return Interop.ErrorNumber.InvalidArgument;
                }

                return request.Operation == BlockOperation.Read
                    ? _image.Read(request.Offset, vectors[..count])
                    : _image.Write(request.Offset, vectors[..count]);
        }
    }
}
