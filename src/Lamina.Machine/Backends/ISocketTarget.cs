namespace Lamina.Machine.Backends;

/// <summary>Told of the host's ends of connections, on the back end's thread.</summary>
public interface ISocketTarget
{
    /// <summary>The host connects to a port of the guest. The target gives the connection a channel, by <see cref="ISocketBackend.Attach"/>, and later accepts or closes it.</summary>
    /// <returns><c>false</c> if there is no guest, or no room.</returns>
    bool TryConnect(uint port);

    /// <summary>The host has sent something or has gone, or takes bytes again. May come once too often.</summary>
    void OnReady(int channel, bool readable, bool writable);
}
