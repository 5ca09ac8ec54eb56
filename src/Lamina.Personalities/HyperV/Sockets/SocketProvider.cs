using System.Buffers.Binary;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Sockets;

/// <summary>
/// Sockets between the guest and the host (Hyper-V sockets; Linux, net/vmw_vsock/hyperv_transport.c): each connection is a channel of its own. A port is the first word of a service's identifier, the rest of which is
/// that of Linux's services. What a guest can make it remember is its connections.
/// </summary>
public sealed class SocketProvider : IDevice, ISocketTarget, ITimerTarget
{
    /// <summary>Most connections at once, with those that the guest has not given back.</summary>
    public const int ConnectionCount = 256;

    // Two rings of 64 KiB, as long as Linux makes them, with their first pages.
    private const int PagesPerConnection = 40;
    private const uint FirstHostPort = 0x4000_0000;
    private const int GuidLength = 16;

    // No message refuses an offer.
    private const ulong AnswerTime = 3_000_000_000;
    private const ulong StallTime = 20_000_000_000;

    private readonly VmBusController _bus;
    private readonly GuestMemory _memory;
    private readonly ISocketBackend _backend;
    private readonly IClockTimer _timer;
    private readonly SocketConnection[] _connections = new SocketConnection[ConnectionCount];
    private readonly byte[] _known = new byte[ConnectionCount];
    private uint _nextHostPort = FirstHostPort;

    /// <summary>Makes them.</summary>
    /// <param name="name">The key of its saved state.</param>
    /// <param name="bus">The bus.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="backend">The host's sockets.</param>
    public SocketProvider(string name, VmBusController bus, GuestMemory memory, ISocketBackend backend)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(backend);
        Name = name;
        _bus = bus;
        _memory = memory;
        _backend = backend;
        _timer = bus.Clock.CreateTimer(this);
        bus.ReserveOnDemand(this, ConnectionCount, PagesPerConnection);
        for (int i = 0; i < ConnectionCount; i++)
        {
            SocketConnection connection = _connections[i] = new SocketConnection(this, backend, i);
            connection.Channel = bus.AddOnDemand(connection);
        }

        backend.SetTarget(this, ConnectionCount);
    }

    /// <inheritdoc/>
    public string Name { get; }

    private static ReadOnlySpan<byte> Template => [0, 0, 0, 0, 0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3];

    /// <inheritdoc/>
    public void Start()
    {
        _bus.Gate.Enter();
        _timer.Arm(_bus.Clock.Now);
        _bus.Gate.Exit();
        _backend.Start();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _backend.Stop();
        _timer.Cancel();
    }

    /// <summary>The bus, which is reset before, has ended all connections.</summary>
    public void Reset()
    {
    }

    /// <summary>Connections do not survive: the guest is told afterwards that those which it knew are no longer there.</summary>
    public void Save(IStateWriter state)
    {
        for (int i = 0; i < ConnectionCount; i++)
        {
            VmBusChannel channel = _connections[i].Channel;
            _known[i] = channel.Offer != ChannelOffer.None && !channel.OwesOffer ? (byte)1 : (byte)0;
        }

        state.Write(1, (ulong)_nextHostPort);
        state.Write(2, _known);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _nextHostPort);
        _nextHostPort |= FirstHostPort;
        int count = state.TryRead(2, _known);
        for (int i = 0; i < count; i++)
        {
            if (_known[i] != 0)
            {
                _bus.WithdrawLost(_connections[i].Channel);
            }
        }

        return valid && count >= 0;
    }

    /// <inheritdoc/>
    public bool TryConnect(uint port)
    {
        _bus.Gate.Enter();
        SocketConnection? connection = _bus.IsConnected ? FindFree() : null;
        if (connection is not null)
        {
            Guid service = GetService(port);
            Guid instance = GetService(_nextHostPort);
            while (IsTaken(service, instance))
            {
                AdvanceHostPort();
                instance = GetService(_nextHostPort);
            }

            AdvanceHostPort();
            _backend.Attach(connection.Number);
            Offer(connection, service, instance, isFromHost: true);
            _bus.Deliver();
        }

        _bus.Gate.Exit();
        return connection is not null;
    }

    /// <inheritdoc/>
    public void OnReady(int channel, bool readable, bool writable)
    {
        _bus.Gate.Enter();
        if (_bus.IsConnected)
        {
            _connections[channel].OnReady(readable, writable);
            _bus.Deliver();
        }

        _bus.Gate.Exit();
    }

    /// <summary>Looks at connections that were opened, and ends those that the guest does not answer, or takes nothing of.</summary>
    public void OnTimer()
    {
        _bus.Gate.Enter();
        ulong now = _bus.Clock.Now;
        ulong next = ulong.MaxValue;
        foreach (SocketConnection connection in _connections)
        {
            if (connection is { IsReadable: true } && !_bus.IsStopped)
            {
                connection.OnAwaited();
            }

            next = connection.HasMore ? now : next;
            if (connection is { IsWaiting: false, IsStalled: false })
            {
                continue;
            }

            if (connection.Deadline <= now && !_bus.IsStopped)
            {
                connection.End();
            }
            else
            {
                next = Math.Min(next, connection.Deadline);
            }
        }

        if (!_bus.IsStopped)
        {
            _bus.Deliver();
            if (next != ulong.MaxValue)
            {
                _timer.Arm(next);
            }
        }

        _bus.Gate.Exit();
    }

    /// <summary>The guest connects to a service of the host. With the bus's lock held.</summary>
    /// <param name="endpoint">The guest's end.</param>
    /// <param name="service">The service.</param>
    internal void Connect(Guid endpoint, Guid service)
    {
        SocketConnection? connection = IsPort(service) && !IsTaken(service, endpoint) ? FindFree() : null;
        if (connection is null || !_backend.Connect(connection.Number, GetPort(service)))
        {
            _bus.RefuseConnection(endpoint, service);
            return;
        }

        Offer(connection, service, endpoint, isFromHost: false);
    }

    /// <summary>The port of a service.</summary>
    internal uint GetPort(Guid service)
    {
        Span<byte> bytes = stackalloc byte[GuidLength];
        service.TryWriteBytes(bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    /// <summary>Has a connection end if it is still stalled after a while.</summary>
    internal void Watch(SocketConnection connection) => Await(connection, StallTime);

    /// <summary>Looks whether the host has sent something, soon.</summary>
    internal void Await(SocketConnection connection) => Await(connection, 0);

    /// <summary>Has a channel look for packets.</summary>
    internal void Process(VmBusChannel channel) => _bus.Process(channel);

    /// <summary>Takes a channel back from the guest.</summary>
    internal void Withdraw(VmBusChannel channel) => _bus.Withdraw(channel);

    /// <summary>The host has written into these pieces of guest memory.</summary>
    internal void MarkWritten(ReadOnlySpan<GuestBuffer> pieces)
    {
        foreach (GuestBuffer piece in pieces)
        {
            _memory.MarkWritten(piece.Address, piece.Length);
        }
    }

    private static Guid GetService(uint port)
    {
        Span<byte> bytes = stackalloc byte[GuidLength];
        Template.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, port);
        return new Guid(bytes);
    }

    private bool IsPort(Guid service) => GetService(GetPort(service)) == service;

    private void Offer(SocketConnection connection, Guid service, Guid instance, bool isFromHost)
    {
        connection.Begin(service, instance, isFromHost);
        _bus.OfferOnDemand(connection.Channel);
        Await(connection, AnswerTime);
    }

    // The timer looks at all deadlines.
    private void Await(SocketConnection connection, ulong time)
    {
        connection.Deadline = _bus.Clock.Now + time;
        _timer.Arm(_bus.Clock.Now);
    }

    private void AdvanceHostPort() => _nextHostPort = (_nextHostPort + 1) | FirstHostPort;

    // A guest knows a channel by both, until it has given it back.
    private bool IsTaken(Guid service, Guid instance)
    {
        foreach (SocketConnection connection in _connections)
        {
            if (!connection.IsFree && connection.InterfaceType == service && connection.InstanceId == instance)
            {
                return true;
            }
        }

        return false;
    }

    private SocketConnection? FindFree()
    {
        foreach (SocketConnection connection in _connections)
        {
            if (connection.IsFree)
            {
                return connection;
            }
        }

        return null;
    }
}
