namespace Lamina.Personalities.Network;

/// <summary>What a receive hash is made of.</summary>
[Flags]
internal enum HashKinds : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Addresses of IP version 4.</summary>
    Ip4 = 1,

    /// <summary>Those and ports of TCP.</summary>
    Tcp4 = 2,

    /// <summary>Addresses of IP version 6.</summary>
    Ip6 = 4,

    /// <summary>Those and ports of TCP.</summary>
    Tcp6 = 8,

    /// <summary>All that there are.</summary>
    All = Ip4 | Tcp4 | Ip6 | Tcp6,
}
