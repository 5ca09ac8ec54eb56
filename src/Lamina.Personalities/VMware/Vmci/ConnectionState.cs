namespace Lamina.Personalities.VMware.Vmci;

/// <summary>What becomes of a connection.</summary>
internal enum ConnectionState : byte
{
    /// <summary>There is none.</summary>
    Free,

    /// <summary>The host has connected, and the guest has not said how long the queues are to be.</summary>
    Requested,

    /// <summary>The guest has been told the name of the queues, and has not brought their pages.</summary>
    Offered,

    /// <summary>The guest has connected and been told how long the queues are to be, and has not made them.</summary>
    Negotiating,

    /// <summary>It stands.</summary>
    Established,

    /// <summary>The guest has closed it, and the host still has to take what the guest sent.</summary>
    Closing,

    /// <summary>It has ended, and the guest still has to be told.</summary>
    Ended,
}
