namespace Lamina.Personalities.Xen.Store;

/// <summary>What a guest can have of the store: the quotas of xenstored, or less.</summary>
internal static class StoreLimits
{
    /// <summary>Bytes of a message's payload.</summary>
    internal const int Payload = 4096;

    /// <summary>Nodes in all.</summary>
    internal const int Nodes = 1024;

    /// <summary>Nodes that the guest owns.</summary>
    internal const int GuestNodes = 768;

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
