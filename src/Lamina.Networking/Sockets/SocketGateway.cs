using System.Globalization;
using System.Text;
using Lamina.Interop;
using Lamina.Interop.Events;
using Lamina.Interop.Networks;
using Lamina.Machine.Backends;

namespace Lamina.Networking.Sockets;

/// <summary>
/// A guest's sockets as sockets in the host's file system, by the convention that Firecracker began. Whoever connects to PATH and sends the line "CONNECT PORT" is connected to
/// that port of the guest, and gets "OK PORT" with the port he has for the guest. A guest that connects to port N of the host reaches whoever listens at PATH_N.
/// </summary>
public sealed class SocketGateway : ISocketBackend, IDisposable
{
    /// <summary>Longest path, in bytes of UTF-8.</summary>
    public const int MaximumPathLength = UnixSocket.MaximumPathLength - LongestPortSuffix;

    private const ulong NotifierToken = 0;
    private const ulong ListenerToken = 1;
    private const ulong FirstPendingToken = 2;
    private const uint FirstChannelToken = 1 << 16;
    private const int MaximumPending = 64;
    private const int LongestPortSuffix = 11;

    private readonly string _path;
    private readonly OwnedDescriptor _listener;
    private readonly Poller _poller = new();
    private readonly EventNotifier _notifier = new();
    private readonly PendingConnection?[] _pending = new PendingConnection?[MaximumPending];
    private HostSocket[] _sockets = [];
    private ISocketTarget? _target;
    private OwnedDescriptor? _inHand;
    private Thread? _thread;
    private volatile bool _stop;
    private volatile bool _outOfDescriptors;

    private SocketGateway(string path, OwnedDescriptor listener)
    {
        _path = path;
        _listener = listener;
        _poller.Add(_notifier.Descriptor, Readiness.Readable, NotifierToken);
        _poller.Add(listener.Number, Readiness.Readable, ListenerToken);
    }

    /// <inheritdoc/>
    public int BufferLength => 64 << 10;

    /// <summary>Makes the socket at a path. It is removed with this object.</summary>
    /// <exception cref="NetworkException">That is not possible.</exception>
    public static SocketGateway Open(string path)
    {
        if (Encoding.UTF8.GetByteCount(path) > MaximumPathLength)
        {
            throw new NetworkException($"the socket '{path}' cannot be made: its path may have {MaximumPathLength} bytes.");
        }

        OwnedDescriptor? listener = null;
        try
        {
            listener = UnixSocket.Listen(path);
            return new SocketGateway(path, listener);
        }
        catch (SystemCallException e) when (listener != null)
        {
            listener.Dispose();
            File.Delete(path);
            throw new NetworkException($"the socket '{path}' cannot be served: {e.Reason}.", e);
        }
        catch (SystemCallException e) when (e.ErrorNumber == ErrorNumber.AddressInUse)
        {
            throw new NetworkException($"the socket '{path}' cannot be made: there is a file of that name, or another machine has it.", e);
        }
        catch (SystemCallException e)
        {
            throw new NetworkException($"the socket '{path}' cannot be made: {e.Reason}.", e);
        }
    }

    /// <inheritdoc/>
    public void SetTarget(ISocketTarget target, int channels)
    {
        _target = target;
        _sockets = new HostSocket[channels];
        for (int i = 0; i < channels; i++)
        {
            _sockets[i] = new HostSocket(_poller, FirstChannelToken + (uint)i, BufferLength);
        }
    }

    /// <inheritdoc/>
    public void Start()
    {
        if (_thread == null)
        {
            _stop = false;
            _thread = new Thread(Run) { Name = "sockets", IsBackground = true };
            _thread.Start();
        }
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _stop = true;
        _notifier.Signal();
        _thread?.Join();
        _thread = null;
    }

    /// <inheritdoc/>
    public bool Connect(int channel, uint port)
    {
        OwnedDescriptor? socket = UnixSocket.Connect(string.Create(CultureInfo.InvariantCulture, $"{_path}_{port}"), out _);
        if (socket == null)
        {
            return false;
        }

        _sockets[channel].Open(socket);
        return true;
    }

    /// <inheritdoc/>
    public void Attach(int channel)
    {
        if (_inHand != null)
        {
            _sockets[channel].Open(_inHand);
            _inHand = null;
        }
    }

    /// <inheritdoc/>
    public bool Accept(int channel, uint port)
    {
        Span<byte> line = stackalloc byte[16];
        "OK "u8.CopyTo(line);
        port.TryFormat(line[3..], out int digits, default, CultureInfo.InvariantCulture);
        line[3 + digits] = (byte)'\n';
        return _sockets[channel].Accept(line[..(4 + digits)]);
    }

    /// <inheritdoc/>
    public SocketState Receive(int channel, ReadOnlySpan<GuestBuffer> buffers, out int count) => _sockets[channel].Receive(buffers, out count);

    /// <inheritdoc/>
    public bool Send(int channel, ReadOnlySpan<GuestBuffer> buffers, out int taken) => _sockets[channel].Send(buffers, out taken);

    /// <inheritdoc/>
    public bool Flush(int channel, out int taken) => _sockets[channel].Flush(out taken);

    /// <inheritdoc/>
    public void ShutDown(int channel, bool receive, bool send) => _sockets[channel].ShutDown(receive, send);

    /// <inheritdoc/>
    public void Close(int channel)
    {
        _sockets[channel].Close();
        if (_outOfDescriptors)
        {
            _notifier.Signal();
        }
    }

    /// <summary>Ends all connections, and removes the socket.</summary>
    public void Dispose()
    {
        Stop();
        foreach (HostSocket socket in _sockets)
        {
            socket.Close();
        }

        foreach (PendingConnection? pending in _pending)
        {
            pending?.Socket.Dispose();
        }

        _listener.Dispose();
        _poller.Dispose();
        _notifier.Dispose();
        File.Delete(_path);
    }

    private void Run()
    {
        Span<ReadyDescriptor> ready = stackalloc ReadyDescriptor[Poller.BatchSize];
        while (!_stop)
        {
            int count = _poller.Wait(ready, Timeout.Infinite);
            for (int i = 0; i < count && !_stop; i++)
            {
                ulong token = ready[i].Token;
                if (token >= FirstChannelToken)
                {
                    int channel = (int)((uint)token - FirstChannelToken);
                    _sockets[channel].Answer(ready[i], out bool readable, out bool writable);
                    if (readable || writable)
                    {
                        _target!.OnReady(channel, readable, writable);
                    }
                }
                else if (token >= FirstPendingToken)
                {
                    Greet((int)(token - FirstPendingToken));
                }
                else if (token == ListenerToken)
                {
                    AcceptAll();
                }
                else
                {
                    _notifier.Clear();
                    ListenAgain();
                }
            }
        }
    }

    private void AcceptAll()
    {
        int error;
        while (UnixSocket.Accept(_listener, out error) is { } socket)
        {
            int place = Array.IndexOf(_pending, null);
            if (place < 0)
            {
                socket.Dispose();
                continue;
            }

            _pending[place] = new PendingConnection(socket);
            _poller.Add(socket.Number, Readiness.Readable, FirstPendingToken + (ulong)place);
        }

        if (error is ErrorNumber.TooManyFiles or ErrorNumber.TooManyFilesInSystem)
        {
            // Nobody can be accepted until something is closed.
            _poller.Modify(_listener.Number, Readiness.None, ListenerToken);
            _outOfDescriptors = true;
        }
    }

    private void ListenAgain()
    {
        if (_outOfDescriptors)
        {
            _outOfDescriptors = false;
            _poller.Modify(_listener.Number, Readiness.Readable, ListenerToken);
        }
    }

    private void Greet(int place)
    {
        if (_pending[place] is not { } pending || pending.TryRead(out uint port) is not { } complete)
        {
            Drop(place);
            return;
        }

        if (!complete)
        {
            return;
        }

        _pending[place] = null;
        _poller.Remove(pending.Socket.Number);
        _inHand = pending.Socket;
        _ = _target!.TryConnect(port);
        _inHand?.Dispose();
        _inHand = null;
        ListenAgain();
    }

    private void Drop(int place)
    {
        if (_pending[place] is { } pending)
        {
            _pending[place] = null;
            _poller.Remove(pending.Socket.Number);
            pending.Socket.Dispose();
            ListenAgain();
        }
    }
}
