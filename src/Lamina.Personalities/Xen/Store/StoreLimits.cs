namespace Lamina.Personalities.Xen.Store;

/// <summary>What a guest can have of the store: the quotas of xenstored, or less.</summary>
internal static class StoreLimits
{
    /// <summary>Bytes of a message's payload.</summary>
    internal const int Payload = 4096;

    /// <summary>Nodes in all: what is not the guest's is kept for the control domain, whose devices come while the machine runs (at most 16 disks and 8 cards, some 25 nodes each).</summary>
    internal const int Nodes = 1792;

    /// <summary>Nodes that the guest owns.</summary>
    internal const int GuestNodes = 768;

    /// <summary>Bytes of a piece, of which names and values are made.</summary>
    internal const int Piece = 48;

    /// <summary>Pieces in all, again with some that are kept for the control domain: two for each node of its own.</summary>
    internal const int Pieces = 4608;

    /// <summary>Pieces of names and values of nodes that the guest owns.</summary>
    internal const int GuestPieces = 2560;

    /// <summary>Bytes of a node's value.</summary>
    internal const int Value = 2048;

    /// <summary>Bytes of an absolute path.</summary>
    internal const int Path = 512;

    /// <summary>Bytes of a watch's token.</summary>
    internal const int Token = 128;

    /// <summary>Watches.</summary>
    internal const int Watches = 128;

    /// <summary>Transactions under way.</summary>
    internal const int Transactions = 8;

    /// <summary>Entries of a node's list of permissions.</summary>
    internal const int Permissions = 5;

    /// <summary>Events that wait for room in the ring.</summary>
    internal const int Events = 256;

    /// <summary>Bytes of the paths that a transaction changes.</summary>
    internal const int Journal = 16384;
}
