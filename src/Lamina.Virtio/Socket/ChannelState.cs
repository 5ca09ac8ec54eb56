namespace Lamina.Virtio.Socket;

/// <summary>What becomes of a channel.</summary>
internal enum ChannelState : byte
{
    /// <summary>There is no connection.</summary>
    Free,

    /// <summary>The host has connected, and the guest has not answered.</summary>
    Connecting,

    /// <summary>It stands.</summary>
    Established,

    /// <summary>The guest has closed it, and the host still has to take what the guest sent.</summary>
    Closing,
}
