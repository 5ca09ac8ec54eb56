using Lamina.Machine.Backends;

namespace Lamina.Virtio.Network;

/// <summary>A pair of a card's queues and the line behind it: it takes what arrives there.</summary>
internal sealed class QueuePair(NetworkDevice card, int index, INetworkBackend line) : INetworkReceiver
{
    public int Index => index;

    public INetworkBackend Line => line;

    public int ReceiveQueue => 2 * index;

    public int TransmitQueue => (2 * index) + 1;

    /// <summary>Whether a packet waits on the line until the guest has buffers. With the card's lock.</summary>
    public bool ReceiverWaits { get; set; }

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet) => card.TryReceive(this, packet);

    /// <inheritdoc/>
    public void OnTransmitReady() => card.OnTransmitReady(this);

    /// <inheritdoc/>
    public void OnLinkChanged(bool up) => card.OnLinkChanged(up);
}
