namespace Lamina.Vmm;

/// <summary>A machine's sockets to its host (vsock; Hyper-V sockets with that personality), which the host sees as sockets in its file system.</summary>
public sealed record SocketSettings
{
    /// <summary>The guest's address (CID): 3 or more, and below 2^32 - 1.</summary>
    public required ulong Address { get; init; }

    /// <summary>
    /// The socket to be made. Whoever connects there and sends "CONNECT PORT" and a line feed reaches that port of the guest; the guest reaches port N of the host at this path,
    /// "_" and N.
    /// </summary>
    public required string Path { get; init; }

    /// <summary>Whether they are a virtio device also under a personality that has sockets of its own, as in machines of versions that had only that.</summary>
    public bool AreVirtio { get; init; }
}
