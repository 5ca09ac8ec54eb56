using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>
/// The host's end of a guest's sockets (Linux, net/vmw_vsock/vmci_transport.c): control packets in datagrams lead to a queue pair for each connection. What a guest can make it
/// remember is its connections, its queue pairs, and refusals that it has not read.
/// </summary>
internal sealed class SocketBroker : ISocketTarget, ITimerTarget
{
    /// <summary>Most connections at once, and most queue pairs.</summary>
    internal const int ConnectionCount = 256;

    private const uint FirstHostPort = 0x4000_0000;
    private const uint FirstResource = 0x1_0000;

    // No message says that a guest has nobody to answer.
    private const ulong AnswerTime = 3_000_000_000;

    private readonly VmciDevice _device;
    private readonly ILock _gate;
    private readonly IMachineClock _clock;
    private readonly ISocketBackend _backend;
    private readonly IClockTimer _timer;
    private readonly uint _guest;
    private readonly SocketConnection[] _connections = new SocketConnection[ConnectionCount];
    private readonly QueuePair[] _queues = new QueuePair[ConnectionCount];
    private readonly SocketConnection[] _line = new SocketConnection[ConnectionCount];
    private readonly (uint HostPort, uint GuestPort)[] _refusals = new (uint HostPort, uint GuestPort)[ConnectionCount];
    private int _lineStart;
    private int _lineCount;
    private int _refusalStart;
    private int _refusalCount;
    private bool _hasNews;
    private uint _nextHostPort = FirstHostPort;
    private uint _nextResource = FirstResource;

    internal SocketBroker(VmciDevice device, ILock gate, GuestMemory memory, IMachineClock clock, ISocketBackend backend, uint guest)
    {
        _device = device;
        _gate = gate;
        _clock = clock;
        _backend = backend;
        _guest = guest;
        _timer = clock.CreateTimer(this);
        LongestQueue = (uint)Math.Min(QueuePair.MaximumLength, backend.BufferLength / 2);
        for (int i = 0; i < ConnectionCount; i++)
        {
            _connections[i] = new SocketConnection(this, backend, i);
            _queues[i] = new QueuePair(memory);
        }

        backend.SetTarget(this, ConnectionCount);
    }

    /// <summary>Whether the guest has something to read.</summary>
    internal bool HasWork => _refusalCount > 0 || _lineCount > 0;

    /// <summary>Whether the guest's pages may be looked at now.</summary>
    internal bool MayTouchMemory => _device.MayTouchMemory;

    /// <summary>The next port of the host for a connection to the guest.</summary>
    internal uint NextHostPort
    {
        get => _nextHostPort;
        set => _nextHostPort = value | FirstHostPort;
    }

    /// <summary>The next name of a queue pair of the host's.</summary>
    internal uint NextResource
    {
        get => _nextResource;
        set => _nextResource = Math.Max(value, FirstResource);
    }

    /// <summary>Most bytes of a queue: a guest that closes its socket takes the pages away, and what is in the queue then has to fit into what the back end keeps.</summary>
    internal uint LongestQueue { get; }

    /// <summary>Most bytes that the back end is to keep while there is a queue.</summary>
    internal uint KeptLimit => (uint)_backend.BufferLength - LongestQueue;

    internal void Start()
    {
        _gate.Enter();
        LookAgain();
        _gate.Exit();
        _backend.Start();
    }

    internal void Stop()
    {
        _backend.Stop();
        _timer.Cancel();
    }

    /// <summary>Has all connections be looked at soon.</summary>
    internal void LookAgain() => _timer.Arm(_clock.Now);

    /// <summary>All connections have ended, and the guest knows that.</summary>
    internal void Reset()
    {
        foreach (SocketConnection connection in _connections)
        {
            connection.Clear();
            connection.IsInLine = false;
        }

        foreach (QueuePair queues in _queues)
        {
            queues.Release();
        }

        _lineCount = _refusalCount = 0;
        _hasNews = false;
    }

    /// <inheritdoc/>
    public bool TryConnect(uint port)
    {
        _gate.Enter();
        SocketConnection? connection = _device.IsListening ? FindFree() : null;
        if (connection is not null)
        {
            while (IsTaken(_nextHostPort))
            {
                NextHostPort = _nextHostPort + 1;
            }

            _backend.Attach(connection.Number);
            connection.BeginFromHost(port, _nextHostPort, new VmciHandle(VmciHandle.Host, _nextResource));
            NextHostPort = _nextHostPort + 1;
            NextResource = _nextResource + 1;
            _device.TellDatagrams();
        }

        _gate.Exit();
        return connection is not null;
    }

    /// <inheritdoc/>
    public void OnReady(int channel, bool readable, bool writable)
    {
        _gate.Enter();
        _connections[channel].OnReady(readable, writable);
        _device.TellDatagrams();
        _gate.Exit();
    }

    /// <summary>Ends connections whose guest does not do its next step, and looks at the others after the machine stood still.</summary>
    public void OnTimer()
    {
        _gate.Enter();
        ulong now = _clock.Now;
        ulong next = ulong.MaxValue;
        for (int i = 0; i < ConnectionCount && _device.IsRunning; i++)
        {
            SocketConnection connection = _connections[i];
            connection.Resume();
            next = connection.HasMore ? now : next;
            if (connection.IsWaiting && connection.Deadline <= now)
            {
                connection.Fail();
            }
            else if (connection.IsWaiting)
            {
                next = Math.Min(next, connection.Deadline);
            }
        }

        if (next != ulong.MaxValue)
        {
            _timer.Arm(next);
        }

        _device.TellDatagrams();
        _gate.Exit();
    }

    /// <summary>Has a connection end if it still waits after a while.</summary>
    internal void Await(SocketConnection connection)
    {
        connection.Deadline = _clock.Now + AnswerTime;
        LookAgain();
    }

    /// <summary>A control packet of the guest's.</summary>
    internal void Take(ReadOnlySpan<byte> datagram)
    {
        SocketPacket packet = SocketPacket.Read(datagram);
        if (Find(packet.SourcePort, packet.DestinationPort) is { } connection)
        {
            connection.Take(packet);
        }
        else if (packet.Type == SocketPacketType.Request2)
        {
            Connect(packet);
        }
        else if (packet.Type != SocketPacketType.Reset)
        {
            Refuse(packet);
        }
    }

    /// <summary>The guest makes a queue pair, or brings the pages of one that it was told of.</summary>
    internal VmciResult Allocate(VmciHandle handle, bool attachesOnly, uint length, ReadOnlySpan<byte> frames, int width)
    {
        QueuePair? free = null;
        foreach (QueuePair queues in _queues)
        {
            if (queues.Length == 0)
            {
                free ??= queues;
            }
            else if (queues.Handle == handle)
            {
                return VmciResult.AlreadyExists;
            }
        }

        SocketConnection? connection = attachesOnly ? FindAwaiting(handle) : null;
        if (free is null || (attachesOnly && connection is null))
        {
            return free is null ? VmciResult.NoResources : VmciResult.NotFound;
        }

        if (connection is not null && connection.Length != length)
        {
            return VmciResult.QueuePairMismatch;
        }

        if (!free.TrySetUp(handle, length, frames, width))
        {
            free.Release();
            return VmciResult.InvalidArguments;
        }

        connection?.Attach(free);
        return connection is null ? VmciResult.Created : VmciResult.Attached;
    }

    /// <summary>The guest takes the pages of a queue pair away.</summary>
    internal void Detach(VmciHandle handle)
    {
        QueuePair? queues = FindQueues(handle);
        queues?.Connection?.OnDetached();
        queues?.Release();
    }

    /// <summary>The queue pair of a name that belongs to no connection yet.</summary>
    internal QueuePair? FindUnclaimed(VmciHandle handle) => FindQueues(handle) is { Connection: null } queues ? queues : null;

    /// <summary>Whether there is something for the guest since this was asked last.</summary>
    internal bool TakeNews()
    {
        bool news = _hasNews;
        _hasNews = false;
        return news;
    }

    /// <summary>Has the guest be told what a connection owes it.</summary>
    internal void EnterLine(SocketConnection connection)
    {
        if (!connection.IsInLine)
        {
            connection.IsInLine = true;
            _line[(_lineStart + _lineCount++) % ConnectionCount] = connection;
            _hasNews = true;
        }
    }

    /// <summary>Writes the next datagram for the guest.</summary>
    /// <returns>Bytes of it; 0 if there is none.</returns>
    internal int WriteNext(Span<byte> datagram)
    {
        if (_refusalCount > 0)
        {
            (uint hostPort, uint guestPort) = _refusals[_refusalStart];
            _refusalStart = (_refusalStart + 1) % ConnectionCount;
            _refusalCount--;
            return new SocketPacket(SocketPacketType.Reset, 0, hostPort, guestPort, 0).Write(datagram, _guest);
        }

        while (_lineCount > 0)
        {
            SocketConnection connection = _line[_lineStart];
            _lineStart = (_lineStart + 1) % ConnectionCount;
            _lineCount--;
            connection.IsInLine = false;
            int length = connection.WriteNext(datagram, _guest, out bool more);
            if (more)
            {
                EnterLine(connection);
            }

            if (length > 0)
            {
                return length;
            }
        }

        return 0;
    }

    private void Connect(in SocketPacket packet)
    {
        // The other ways to tell of bytes are those of drivers that came before Linux had one.
        bool possible = (packet.Protocol & SocketPacket.QueueStateProtocol) != 0 && packet.Value >= QueuePair.MinimumLength;
        SocketConnection? connection = possible ? FindFree() : null;
        if (connection is null || !_backend.Connect(connection.Number, packet.DestinationPort))
        {
            Refuse(packet);
            return;
        }

        connection.BeginFromGuest(packet.SourcePort, packet.DestinationPort, (uint)Math.Min(packet.Value, LongestQueue));
    }

    private void Refuse(in SocketPacket packet)
    {
        if (_refusalCount < ConnectionCount)
        {
            _refusals[(_refusalStart + _refusalCount++) % ConnectionCount] = (packet.DestinationPort, packet.SourcePort);
            _hasNews = true;
        }
    }

    private SocketConnection? Find(uint guestPort, uint hostPort)
    {
        foreach (SocketConnection connection in _connections)
        {
            if (connection.IsOpen && connection.GuestPort == guestPort && connection.HostPort == hostPort)
            {
                return connection;
            }
        }

        return null;
    }

    private SocketConnection? FindFree() => Array.Find(_connections, static c => c.State == ConnectionState.Free);

    private SocketConnection? FindAwaiting(VmciHandle handle)
    {
        foreach (SocketConnection connection in _connections)
        {
            if (connection.AwaitsQueues && connection.Handle == handle)
            {
                return connection;
            }
        }

        return null;
    }

    private QueuePair? FindQueues(VmciHandle handle)
    {
        foreach (QueuePair queues in _queues)
        {
            if (queues.Length != 0 && queues.Handle == handle)
            {
                return queues;
            }
        }

        return null;
    }

    private bool IsTaken(uint hostPort)
    {
        foreach (SocketConnection connection in _connections)
        {
            if (connection.State != ConnectionState.Free && connection.HostPort == hostPort)
            {
                return true;
            }
        }

        return false;
    }
}
