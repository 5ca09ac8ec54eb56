namespace Lamina.Virtio.Socket;

/// <summary>One connection, as the device sees it. All counts of bytes are modulo 2^32, as the guest sends them.</summary>
internal struct SocketChannel
{
    public ChannelState State;
    public PendingPackets Pending;
    public uint GuestPort;
    public uint HostPort;

    /// <summary>The guest's room, and how much of what it got it has taken.</summary>
    public uint PeerAllocated;
    public uint PeerForwarded;

    /// <summary>What the guest was sent.</summary>
    public uint Sent;

    /// <summary>What the guest has sent, what of that the host has taken, and what of that the guest has been told.</summary>
    public uint Received;
    public uint Forwarded;
    public uint Told;

    /// <summary>Whether the host may have something to send.</summary>
    public bool Readable;

    /// <summary>Whether it waits for its turn to send packets to the guest.</summary>
    public bool InLine;

    /// <summary>Whether the guest was asked for room and has said nothing since.</summary>
    public bool CreditAsked;

    /// <summary>Flags of the shutdown that the guest is to be told of.</summary>
    public uint HostShutdown;

    /// <summary>Flags of the guest's shutdown.</summary>
    public uint GuestShutdown;

    /// <summary>Bytes that the guest has room for.</summary>
    public readonly uint Credit
    {
        get
        {
            uint underWay = Sent - PeerForwarded;
            return underWay >= PeerAllocated ? 0 : PeerAllocated - underWay;
        }
    }
}
