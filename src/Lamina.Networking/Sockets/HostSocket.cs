using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Events;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking.Sockets;

/// <summary>
/// One channel's end on the host: its connection, if it has one, and what the guest sent that the host has not taken yet. What it waits for is said once and answered once, so that
/// nothing is awaited that nobody would take.
/// </summary>
internal sealed class HostSocket(Poller poller, uint token, int capacity)
{
    private const int MaximumBuffers = 64;
    private readonly Lock _lock = new();
    private byte[] _kept = [];
    private int _start;
    private int _count;
    private OwnedDescriptor? _socket;
    private Readiness _interest;
    private uint _generation;

    // An answer that was under way when one connection made place for another is not the other's.
    private ulong Token => ((ulong)_generation << 32) | token;

    /// <summary>Takes a connection over. It waits for nothing yet, but its end is told.</summary>
    public void Open(OwnedDescriptor socket)
    {
        lock (_lock)
        {
            _socket = socket;
            _generation++;
            _interest = Readiness.None;
            _start = 0;
            _count = 0;
            poller.Add(socket.Number, Readiness.Once, Token);
        }
    }

    public void Close()
    {
        lock (_lock)
        {
            if (_socket != null)
            {
                poller.Remove(_socket.Number);
                _socket.Dispose();
                _socket = null;
            }
        }
    }

    /// <summary>The poller has answered.</summary>
    public void Answer(ReadyDescriptor answer, out bool readable, out bool writable)
    {
        lock (_lock)
        {
            readable = false;
            writable = false;
            if (_socket == null || answer.Token != Token)
            {
                return;
            }

            Readiness ready = answer.Readiness;
            bool ended = (ready & (Readiness.HangUp | Readiness.Error)) != 0;
            readable = ended || (ready & _interest & Readiness.Readable) != 0;
            writable = (ended || (ready & Readiness.Writable) != 0) && (_interest & Readiness.Writable) != 0;
            Readiness rest = _interest & ~((readable ? Readiness.Readable : 0) | (writable ? Readiness.Writable : 0));
            _interest = Readiness.None;
            if (rest != Readiness.None)
            {
                Await(rest);
            }
        }
    }

    public bool Accept(ReadOnlySpan<byte> greeting)
    {
        lock (_lock)
        {
            // A socket that has just been made takes a line.
            if (_socket == null || Descriptor.Write(_socket.Number, greeting, out _) != greeting.Length)
            {
                return false;
            }

            Await(Readiness.Readable);
            return true;
        }
    }

    public SocketState Receive(ReadOnlySpan<GuestBuffer> buffers, out int count)
    {
        Span<IoVector> vectors = stackalloc IoVector[MaximumBuffers];
        int used = Fill(vectors, buffers);
        lock (_lock)
        {
            count = 0;
            if (_socket == null)
            {
                return SocketState.Gone;
            }

            int read = _socket.Read(vectors[..used], out int error);
            if (read > 0)
            {
                count = read;
                return SocketState.Open;
            }

            if (error == ErrorNumber.TryAgain)
            {
                Await(Readiness.Readable);
                return SocketState.Open;
            }

            if (read < 0 || (Descriptor.Wait(_socket.Number, Readiness.None, 0) & (Readiness.HangUp | Readiness.Error)) != 0)
            {
                return SocketState.Gone;
            }

            // The far end has only ended its own sending; its going is still told.
            poller.Modify(_socket.Number, _interest | Readiness.Once, Token);
            return SocketState.Ended;
        }
    }

    public bool Send(ReadOnlySpan<GuestBuffer> buffers, out int taken)
    {
        Span<IoVector> vectors = stackalloc IoVector[MaximumBuffers];
        int used = Fill(vectors, buffers);
        lock (_lock)
        {
            taken = 0;
            if (_socket == null)
            {
                return false;
            }

            if (_count == 0)
            {
                int written = _socket.Write(vectors[..used], out int error);
                if (written < 0 && error != ErrorNumber.TryAgain)
                {
                    return false;
                }

                taken = Math.Max(written, 0);
            }

            Keep(buffers, taken);
            if (_count > 0)
            {
                Await(Readiness.Writable);
            }

            return true;
        }
    }

    public bool Flush(out int taken)
    {
        lock (_lock)
        {
            taken = 0;
            while (_socket != null && _count > 0)
            {
                int part = Math.Min(_count, _kept.Length - _start);
                int written = Descriptor.Write(_socket.Number, _kept.AsSpan(_start, part), out int error);
                if (written < 0)
                {
                    if (error == ErrorNumber.TryAgain)
                    {
                        Await(Readiness.Writable);
                        return true;
                    }

                    return false;
                }

                _start = (_start + written) % _kept.Length;
                _count -= written;
                taken += written;
            }

            return _socket != null;
        }
    }

    public void ShutDown(bool receive, bool send)
    {
        lock (_lock)
        {
            if (_socket != null)
            {
                UnixSocket.ShutDown(_socket, receive, send);
            }
        }
    }

    private static int Fill(Span<IoVector> vectors, ReadOnlySpan<GuestBuffer> buffers)
    {
        int count = Math.Min(vectors.Length, buffers.Length);
        for (int i = 0; i < count; i++)
        {
            vectors[i] = new IoVector(buffers[i].HostAddress, buffers[i].Length);
        }

        return count;
    }

    private void Await(Readiness more)
    {
        if ((_interest & more) != more)
        {
            _interest |= more;
            poller.Modify(_socket!.Number, _interest | Readiness.Once, Token);
        }
    }

    private void Keep(ReadOnlySpan<GuestBuffer> buffers, int skip)
    {
        foreach (GuestBuffer buffer in buffers)
        {
            int length = (int)buffer.Length;
            int done = Math.Min(skip, length);
            skip -= done;
            while (done < length)
            {
                if (_kept.Length == 0)
                {
                    // Kept for the connections that come after.
                    _kept = new byte[capacity];
                }

                int at = (_start + _count) % _kept.Length;
                int part = Math.Min(length - done, Math.Min(_kept.Length - at, _kept.Length - _count));
                if (part == 0)
                {
                    return;
                }

                Marshal.Copy(buffer.HostAddress + done, _kept, at, part);
                _count += part;
                done += part;
            }
        }
    }
}
