using Lamina.Interop;
using Lamina.Interop.Files;
using Lamina.Machine.Backends;

namespace Lamina.Storage;

/// <summary>
/// Serves a device's requests from a disk image. What the host has in memory is read and written at once, on the thread that asks; what else an image leaves to the host as it is goes into an
/// io_uring; and the rest, also what went wrong there, is done by a few threads of this object, which are started when there is work for them.
/// </summary>
public sealed class DiskBackend : IBlockBackend, IDisposable
{
    private const int MaximumThreads = 4;
    private const int MaximumVectors = 256;
    private const int FewVectors = 8;
    private const int RingSlots = 128;
    private const ulong MaximumRingLength = 1 << 30;
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);
    private readonly DiskImage _image;
    private readonly WriteErrorPolicy _policy;
    private readonly Action<string>? _notice;
    private readonly object _gate = new();
    private readonly Thread?[] _threads = new Thread?[MaximumThreads];
    private readonly IoRing? _ring;
    private readonly BlockRequest?[] _ringRequests = new BlockRequest?[RingSlots];
    private readonly int[] _freeSlots = new int[RingSlots];
    private Thread? _ringThread;
    private int _freeCount;
    private BlockRequest? _first;
    private BlockRequest? _last;
    private BlockRequest? _waiting;
    private long _retryAt;
    private bool _retriesWaiting;
    private bool _draining;
    private bool _told;
    private int _threadCount;
    private int _idle;
    private int _pending;
    private bool _closed;

    /// <summary>Serves an image, which it disposes at its end.</summary>
    /// <param name="image">The image.</param>
    /// <param name="policy">What becomes of a write that the host refuses for want of space.</param>
    /// <param name="notice">Told, for a person, when requests begin to wait and when they go on; or null. On a thread of this object.</param>
    /// <param name="mayUseRing">Whether io_uring is used where the image and the host allow it.</param>
    public DiskBackend(DiskImage image, WriteErrorPolicy policy = WriteErrorPolicy.Report, Action<string>? notice = null, bool mayUseRing = true)
    {
        ArgumentNullException.ThrowIfNull(image);
        _image = image;
        _policy = policy;
        _notice = notice;
        _ring = mayUseRing && image.SuitsRing ? IoRing.TryCreate(RingSlots) : null;
        for (int i = 0; _ring != null && i < RingSlots; i++)
        {
            _freeSlots[_freeCount++] = i;
        }
    }

    /// <summary>Whether there is an io_uring.</summary>
    public bool UsesRing => _ring != null;

    /// <inheritdoc/>
    public ulong Length => _image.Length & ~511UL;

    /// <inheritdoc/>
    public bool IsReadOnly => _image.IsReadOnly;

    /// <inheritdoc/>
    public bool CanDiscard => _image.CanDiscard;

    /// <inheritdoc/>
    public uint PreferredBlock => _image.PreferredBlock;

    /// <summary>The image's format.</summary>
    public DiskFormat Format => _image.Format;

    /// <summary>
    /// Begins to copy the image's file as it is now into an empty one, while no request is under way. What it rests on is not copied. Requests may go on before <see cref="DiskImageCopy.Complete"/>: what they
    /// overwrite is copied before.
    /// </summary>
    /// <param name="target">The file, which becomes the copy's.</param>
    /// <exception cref="StorageException">It cannot be copied.</exception>
    public DiskImageCopy BeginCopy(BlockFile target)
    {
        ArgumentNullException.ThrowIfNull(target);
        int error = _image.Flush();
        if (error != 0)
        {
            target.Dispose();
            throw new StorageException($"'{_image.Path}' cannot be written: {new SystemCallException("flush", error).Reason}.");
        }

        try
        {
            return new DiskImageCopy(_image.Path, _image.BeginCopy(target));
        }
        catch (SystemCallException e)
        {
            target.Dispose();
            throw new StorageException($"'{_image.Path}' cannot be copied: {e.Reason}.", e);
        }
    }

    /// <inheritdoc/>
    public bool Submit(BlockRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Operation is BlockOperation.Read or BlockOperation.Write && !request.IsPart && TryNow(request))
        {
            request.Result = BlockResult.Done;
            return true;
        }

        if (TryRing(request))
        {
            return false;
        }

        lock (_gate)
        {
            Enqueue(request);
            _pending++;
            WakeThread();
        }

        return false;
    }

    /// <inheritdoc/>
    public void Drain()
    {
        lock (_gate)
        {
            // What waits for space is tried once more, and is told of the error if that does not help.
            _draining = true;
            while (_pending > 0)
            {
                RetryWaiting();
                if (_first != null)
                {
                    WakeThread();
                }

                Monitor.Wait(_gate, RetryInterval);
            }

            _draining = false;
        }
    }

    /// <summary>Changes the image's length. No request is under way.</summary>
    /// <returns>0, or an errno value.</returns>
    public int Resize(ulong length) => _image.Resize(length);

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

        _ring?.Wake();
        _ringThread?.Join();
        _ring?.Dispose();
        _image.Dispose();
    }

    private bool TryNow(BlockRequest request)
    {
        // All of it is cleared first.
        Span<IoVector> vectors = request.BufferCount <= FewVectors ? stackalloc IoVector[FewVectors] : stackalloc IoVector[MaximumVectors];
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

    private bool TryRing(BlockRequest request)
    {
        if (_ring == null || request.Length > MaximumRingLength || request.Operation is not (BlockOperation.Read or BlockOperation.Write or BlockOperation.Flush))
        {
            return false;
        }

        Span<IoVector> vectors = stackalloc IoVector[IoRing.MaximumVectors];
        if (!TryGetVectors(request, vectors, out int count) || !TryTakeSlot(request, out int slot))
        {
            return false;
        }

        if (_image.BeginRing(request.Operation, request.Offset, request.Length, vectors[..count], out ulong place) is { } file)
        {
            // The kernel knows nothing of what a copy has to keep before.
            if (!(request.Operation == BlockOperation.Write && file.IsBeingCopied) && _ring.TrySubmit(GetRingOperation(request), file, place, vectors[..count], slot))
            {
                return true;
            }

            _image.EndRing();
        }

        lock (_gate)
        {
            _freeSlots[_freeCount++] = slot;
        }

        Count();
        return false;
    }

    private bool TryTakeSlot(BlockRequest request, out int slot)
    {
        lock (_gate)
        {
            slot = -1;
            if (_freeCount == 0)
            {
                return false;
            }

            slot = _freeSlots[--_freeCount];
            _ringRequests[slot] = request;
            _pending++;
            if (_ringThread == null)
            {
                _ringThread = new Thread(WatchRing) { Name = "disk ring", IsBackground = true };
                _ringThread.Start();
            }

            return true;
        }
    }

    private static IoRingOperation GetRingOperation(BlockRequest request)
    {
        return request.Operation switch
        {
            BlockOperation.Read => IoRingOperation.Read,
            BlockOperation.Write => IoRingOperation.Write,
            _ => IoRingOperation.Synchronize,
        };
    }

    private void WatchRing()
    {
        Span<IoRingCompletion> ended = stackalloc IoRingCompletion[32];
        while (!Volatile.Read(ref _closed))
        {
            int count = _ring!.Wait(ended);
            foreach (IoRingCompletion completion in ended[..count])
            {
                BlockRequest request = _ringRequests[completion.Slot]!;
                ulong expected = request.Operation == BlockOperation.Flush ? 0 : request.Length;
                bool done = completion.Result >= 0 && (ulong)completion.Result == expected;
                _image.EndRing();
                lock (_gate)
                {
                    _freeSlots[_freeCount++] = completion.Slot;
                    if (!done)
                    {
                        // A short transfer or an error: a thread does it again, and finds out what is the matter.
                        Enqueue(request);
                        WakeThread();
                    }
                }

                if (done)
                {
                    request.Complete(BlockResult.Done);
                    Count();
                }
            }
        }
    }

    // A request has ended. Threads without work wait for the same signal, and are left alone unless somebody waits for the end of all.
    private void Count()
    {
        lock (_gate)
        {
            if (--_pending == 0 && _draining)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    // Under the lock, like the following three.
    private void Enqueue(BlockRequest request)
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
    }

    private void WakeThread()
    {
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

    private void RetryWaiting()
    {
        while (_waiting != null)
        {
            BlockRequest request = _waiting;
            _waiting = request.Next;
            Enqueue(request);
        }
    }

    // The next request, or null at the end. One thread looks after those that wait for space.
    private BlockRequest? Take()
    {
        while (_first == null)
        {
            if (_closed)
            {
                return null;
            }

            _idle++;
            if (_waiting == null || _retriesWaiting)
            {
                Monitor.Wait(_gate);
            }
            else
            {
                _retriesWaiting = true;
                long left = _retryAt - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)left))
                {
                    RetryWaiting();
                }

                _retriesWaiting = false;
            }

            _idle--;
        }

        BlockRequest request = _first;
        _first = request.Next;
        if (_first == null)
        {
            _last = null;
        }

        return request;
    }

    private void Work()
    {
        while (true)
        {
            BlockRequest? request;
            lock (_gate)
            {
                request = Take();
                if (request == null)
                {
                    return;
                }
            }

            int error = Execute(request);
            if (error == ErrorNumber.NoSpace && _policy == WriteErrorPolicy.Wait && TryPutAside(request))
            {
                continue;
            }

            request.Complete(error == 0 ? BlockResult.Done : BlockResult.Failed);
            if (error == 0 && _told)
            {
                Tell(waits: false);
            }

            Count();
        }
    }

    private bool TryPutAside(BlockRequest request)
    {
        lock (_gate)
        {
            if (_draining || _closed)
            {
                return false;
            }

            request.Next = _waiting;
            _waiting = request;
            _retryAt = Environment.TickCount64 + (long)RetryInterval.TotalMilliseconds;
        }

        Tell(waits: true);
        return true;
    }

    private void Tell(bool waits)
    {
        lock (_gate)
        {
            if (_told == waits || (!waits && _waiting != null))
            {
                return;
            }

            _told = waits;
        }

        _notice?.Invoke(waits
            ? $"there is no space left for '{_image.Path}': the guest's writes wait until there is some"
            : $"there is space for '{_image.Path}' again: the guest's writes go on");
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
                    return ErrorNumber.InvalidArgument;
                }

                return request.Operation == BlockOperation.Read
                    ? _image.Read(request.Offset, vectors[..count])
                    : _image.Write(request.Offset, vectors[..count]);
        }
    }
}
