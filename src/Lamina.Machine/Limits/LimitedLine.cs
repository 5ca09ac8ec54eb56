using Lamina.Machine.Backends;

namespace Lamina.Machine.Limits;

/// <summary>One line of a <see cref="LimitedNetwork"/>.</summary>
internal sealed class LimitedLine : INetworkBackend, INetworkReceiver
{
    private readonly LimitedNetwork _network;
    private readonly INetworkBackend _inner;
    private INetworkReceiver? _receiver;

    public LimitedLine(LimitedNetwork network, INetworkBackend inner)
    {
        _network = network;
        _inner = inner;
        inner.SetReceiver(this);
    }

    /// <inheritdoc/>
    public NetworkOffloads Offloads => _inner.Offloads;

    /// <inheritdoc/>
    public int MaximumTransmissionUnit => _inner.MaximumTransmissionUnit;

    /// <summary>Whether the guest has been told to wait. With the network's lock.</summary>
    public bool SenderWaits { get; set; }

    /// <summary>Whether the wire has. With the network's lock.</summary>
    public bool WireWaits { get; set; }

    /// <inheritdoc/>
    public void SetReceiver(INetworkReceiver receiver) => _receiver = receiver;

    /// <inheritdoc/>
    public void Start() => _inner.Start();

    /// <inheritdoc/>
    public void Stop() => _inner.Stop();

    /// <inheritdoc/>
    public void SetEnabled(bool enabled) => _inner.SetEnabled(enabled);

    /// <inheritdoc/>
    public void SetReceiveOffloads(NetworkOffloads offloads) => _inner.SetReceiveOffloads(offloads);

    /// <inheritdoc/>
    public bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers)
    {
        if (!_network.MaySend(this) || !_inner.TryTransmit(buffers))
        {
            return false;
        }

        ulong length = 0;
        foreach (GuestBuffer buffer in buffers)
        {
            length += buffer.Length;
        }

        _network.CountSent(length);
        return true;
    }

    /// <inheritdoc/>
    public void ResumeReceive() => _inner.ResumeReceive();

    /// <inheritdoc/>
    public bool TryReceive(ReadOnlySpan<byte> packet)
    {
        if (!_network.MayReceive(this) || !_receiver!.TryReceive(packet))
        {
            return false;
        }

        _network.CountReceived((ulong)packet.Length);
        return true;
    }

    /// <inheritdoc/>
    public void OnTransmitReady() => _receiver!.OnTransmitReady();

    /// <inheritdoc/>
    public void OnLinkChanged(bool up) => _receiver!.OnLinkChanged(up);

    /// <summary>What waited may go on.</summary>
    public void Resume(bool sends, bool receives)
    {
        if (sends)
        {
            _receiver!.OnTransmitReady();
        }

        if (receives)
        {
            _inner.ResumeReceive();
        }
    }
}
