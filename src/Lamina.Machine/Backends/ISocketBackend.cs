namespace Lamina.Machine.Backends;

/// <summary>
/// The host's ends of a guest's connections, each known by the number of a channel that the device chose. None of the calls waits for the host. The device calls with its lock
/// held, so one at a time; calls to a channel that has no connection do nothing, and fail where they can.
/// </summary>
public interface ISocketBackend
{
    /// <summary>Bytes of a channel that the back end keeps while the host does not take them.</summary>
    int BufferLength { get; }

    /// <summary>Who is told of connections. Before <see cref="Start"/>.</summary>
    /// <param name="target">The device.</param>
    /// <param name="channels">How many channels it has.</param>
    void SetTarget(ISocketTarget target, int channels);

    /// <summary>Lets the host connect and send.</summary>
    void Start();

    /// <summary>Ends that, and waits until no call of the target is under way.</summary>
    void Stop();

    /// <summary>The guest connects to a port of the host.</summary>
    /// <returns>Whether somebody listens there; the connection then stands, and waits for <see cref="Receive"/>.</returns>
    bool Connect(int channel, uint port);

    /// <summary>Gives the connection for which the back end has just called <see cref="ISocketTarget.TryConnect"/> its channel. During that call.</summary>
    void Attach(int channel);

    /// <summary>The guest has accepted a connection of the host's.</summary>
    /// <param name="channel">The channel.</param>
    /// <param name="port">The port that the host has for the guest.</param>
    /// <returns>Whether the host is still there.</returns>
    bool Accept(int channel, uint port);

    /// <summary>Takes bytes of the host's. If there are none now, <see cref="ISocketTarget.OnReady"/> tells of more.</summary>
    /// <param name="channel">The channel.</param>
    /// <param name="buffers">Where they go.</param>
    /// <param name="count">How many there were, with <see cref="SocketState.Open"/>; 0 if there are none now.</param>
    SocketState Receive(int channel, ReadOnlySpan<GuestBuffer> buffers, out int count);

    /// <summary>Sends bytes of the guest's, at most as many as there is room for; what the host does not take at once is kept.</summary>
    /// <param name="channel">The channel.</param>
    /// <param name="buffers">The bytes.</param>
    /// <param name="taken">How many the host has taken.</param>
    /// <returns><c>false</c> if the host has gone.</returns>
    bool Send(int channel, ReadOnlySpan<GuestBuffer> buffers, out int taken);

    /// <summary>Sends what was kept, as far as the host takes it.</summary>
    /// <param name="channel">The channel.</param>
    /// <param name="taken">How many bytes the host has taken.</param>
    /// <returns><c>false</c> if the host has gone.</returns>
    bool Flush(int channel, out int taken);

    /// <summary>The guest does not receive any more, or does not send any more.</summary>
    void ShutDown(int channel, bool receive, bool send);

    /// <summary>Ends a connection, with all that was kept of it.</summary>
    void Close(int channel);
}
