namespace Lamina.Machine.Backends;

/// <summary>Takes what comes from a network.</summary>
public interface INetworkReceiver
{
    /// <summary>Takes a packet: the header of <see cref="INetworkBackend"/>, then the frame. On the back end's thread.</summary>
    /// <returns><c>false</c> if there is no room: it is to be offered again after <see cref="INetworkBackend.ResumeReceive"/>.</returns>
    bool TryReceive(ReadOnlySpan<byte> packet);

    /// <summary>The wire, which had refused a packet, can take packets again.</summary>
    void OnTransmitReady();

    /// <summary>The wire was cut, or mended.</summary>
    void OnLinkChanged(bool up);
}
