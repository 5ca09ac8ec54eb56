using Lamina.Interop;
using Lamina.Interop.Events;
using Lamina.Machine.Backends;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Serial;

/// <summary>
/// Writes to a file descriptor (standard output, a file) on a thread of its own, from a bounded buffer. The guest does not wait for the host until the buffer is full;
/// then it does, as on a line with hardware flow control, because output is not to be lost while somebody reads it. When writing fails (the reader has gone,
/// the disk is full) everything further is dropped, and <see cref="Failure"/> says why. It waits no longer once the machine ends.
/// </summary>
public sealed class DescriptorCharacterOutput : ICharacterOutput, IBoundedOutput, IDisposable
{
    private const int Capacity = 1 << 20;
    private const int FirstLength = 4 << 10;
    private const int MostAtOnce = 64 << 10;
    private static readonly TimeSpan DisposeTimeout = TimeSpan.FromSeconds(2);
    private readonly object _gate = new();
    private readonly SafeFileHandle? _file;
    private readonly int _descriptor;
    private readonly Thread _thread;

    // Memory that is touched when a machine starts delays it, so the buffer grows when it is needed.
    private byte[] _ring = new byte[FirstLength];
    private int _start;
    private int _count;
    private bool _writerSleeps;
    private bool _neverWait;
    private bool _closed;
    private SystemCallException? _failure;

    private DescriptorCharacterOutput(int descriptor, SafeFileHandle? file)
    {
        _descriptor = descriptor;
        _file = file;
        _thread = new Thread(Drain) { Name = "serial output", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Why writing failed, or null.</summary>
    public SystemCallException? Failure
    {
        get
        {
            lock (_gate)
            {
                return _failure;
            }
        }
    }

    /// <summary>Standard output of this process, which stays open.</summary>
    public static DescriptorCharacterOutput ForStandardOutput() => new(Descriptor.StandardOutput, null);

    /// <summary>An open descriptor, which stays open. It must outlive this object.</summary>
    public static DescriptorCharacterOutput ForDescriptor(int descriptor) => new(descriptor, null);

    /// <summary>A file, created or truncated.</summary>
    /// <exception cref="MachineConfigurationException">It cannot be written.</exception>
    public static DescriptorCharacterOutput ForFile(string path)
    {
        try
        {
            SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.Read);
            return new DescriptorCharacterOutput((int)file.DangerousGetHandle(), file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new MachineConfigurationException($"'{path}' cannot be written: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            while (!data.IsEmpty && _failure == null && !_closed)
            {
                if (data.Length > _ring.Length - _count && _ring.Length < Capacity)
                {
                    Grow(_count + data.Length);
                }

                int room = _ring.Length - _count;
                if (room == 0)
                {
                    if (_neverWait)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                    continue;
                }

                int end = (_start + _count) % _ring.Length;
                int length = Math.Min(Math.Min(data.Length, room), _ring.Length - end);
                data[..length].CopyTo(_ring.AsSpan(end));
                _count += length;
                data = data[length..];
                if (_writerSleeps)
                {
                    _writerSleeps = false;
                    Monitor.PulseAll(_gate);
                }
            }
        }
    }

    /// <summary>Waits until all that was written has left, or writing has failed.</summary>
    /// <returns><c>false</c> if neither happened within <paramref name="timeout"/>.</returns>
    public bool Flush(TimeSpan timeout)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_gate)
        {
            while (_count > 0 && _failure == null)
            {
                long remaining = deadline - Environment.TickCount64;
                if (remaining <= 0 || !Monitor.Wait(_gate, (int)Math.Min(remaining, int.MaxValue)))
                {
                    return _count == 0 || _failure != null;
                }
            }

            return true;
        }
    }

    /// <summary>Waits for what was written for a little while, and closes.</summary>
    public void Dispose()
    {
        _ = Flush(DisposeTimeout);
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }

        // A thread that hangs in a write to a stuck reader is left behind, with the descriptor.
        if (_thread.Join(DisposeTimeout))
        {
            _file?.Dispose();
        }
    }

    /// <inheritdoc/>
    void IBoundedOutput.StopWaiting()
    {
        lock (_gate)
        {
            _neverWait = true;
            Monitor.PulseAll(_gate);
        }
    }

    // The thread may be writing from the old buffer, whose content stays as it is; what it has written is still the first of what is counted.
    private void Grow(long needed)
    {
        int length = _ring.Length;
        while (length < Capacity && length < needed)
        {
            length *= 2;
        }

        byte[] ring = new byte[length];
        int first = Math.Min(_count, _ring.Length - _start);
        _ring.AsSpan(_start, first).CopyTo(ring);
        _ring.AsSpan(0, _count - first).CopyTo(ring.AsSpan(first));
        _ring = ring;
        _start = 0;
    }

    private void Drain()
    {
        while (true)
        {
            byte[] ring;
            int start;
            int length;
            lock (_gate)
            {
                while (_count == 0 && !_closed)
                {
                    _writerSleeps = true;
                    Monitor.Wait(_gate);
                }

                if (_closed)
                {
                    return;
                }

                _writerSleeps = false;
                ring = _ring;
                start = _start;
                length = Math.Min(Math.Min(_count, ring.Length - start), MostAtOnce);
            }

            // Outside the lock: nobody else touches bytes that are still counted.
            int written = Descriptor.Write(_descriptor, ring.AsSpan(start, length), out int error);
            if (error == ErrorNumber.TryAgain)
            {
                _ = Descriptor.Wait(_descriptor, Readiness.Writable, Timeout.Infinite);
                continue;
            }

            lock (_gate)
            {
                if (error != 0)
                {
                    _failure = new SystemCallException("write", error);
                    _count = 0;
                    Monitor.PulseAll(_gate);
                    return;
                }

                _start = (_start + written) % _ring.Length;
                _count -= written;
                Monitor.PulseAll(_gate);
            }
        }
    }
}
