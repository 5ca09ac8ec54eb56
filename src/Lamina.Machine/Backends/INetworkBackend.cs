namespace Lamina.Machine.Backends;

/// <summary>
/// A wire to a network, or one of its lines, if it has several. Packets begin with the 12 bytes of <c>struct virtio_net_hdr_v1</c> (virtio 1.2, section 5.1.6), also where the wire does not
/// know it; then all of it but the number of buffers is zero.
/// </summary>
public interface INetworkBackend
{
    /// <summary>Bytes of the header before each packet.</summary>
    const int HeaderLength = 12;

    /// <summary>Largest packet with its header: a segment of 64 KiB with all its headers.</summary>
    const int MaximumPacketLength = 65536 + 64;

    /// <summary>What the wire can leave to, and take over from, the guest.</summary>
    NetworkOffloads Offloads { get; }

    /// <summary>Largest payload of a frame that the wire passes when nothing is segmented, or 0 if it does not say.</summary>
    int MaximumTransmissionUnit { get; }

    /// <summary>Who takes what arrives. Before <see cref="Start"/>.</summary>
    void SetReceiver(INetworkReceiver receiver);

    /// <summary>Lets packets arrive.</summary>
    void Start();

    /// <summary>Ends that, and waits until no call of the receiver is under way.</summary>
    void Stop();

    /// <summary>Says which offloads the guest takes: packets that need others do not arrive any more.</summary>
    void SetReceiveOffloads(NetworkOffloads offloads);

    /// <summary>
    /// Takes one of several lines of a wire into use, or out of it: then nothing arrives there, and other lines get it. One call at a time; never waits. All are in use at first, and a wire
    /// with one line has nothing to do here.
    /// </summary>
    void SetEnabled(bool enabled)
    {
    }

    /// <summary>Sends a packet. Any thread, one call at a time; never waits. A packet that the wire refuses for good is dropped, as by any wire.</summary>
    /// <param name="buffers">The header, then the frame.</param>
    /// <returns><c>false</c> if the wire is full: it is to be offered again after <see cref="INetworkReceiver.OnTransmitReady"/>.</returns>
    bool TryTransmit(ReadOnlySpan<GuestBuffer> buffers);

    /// <summary>The receiver, which had refused a packet, can take packets again. Any thread.</summary>
    void ResumeReceive();
}
