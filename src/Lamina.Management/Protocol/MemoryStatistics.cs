namespace Lamina.Management.Protocol;

/// <summary>Memory of a machine's process, in bytes.</summary>
public sealed record MemoryStatistics
{
    /// <summary>RAM of the guest, used or not.</summary>
    public ulong GuestBytes { get; set; }

    /// <summary>What the process has in the host's memory.</summary>
    public ulong ResidentBytes { get; set; }

    /// <summary>What of that no file holds: the process's own.</summary>
    public ulong AnonymousBytes { get; set; }
}
