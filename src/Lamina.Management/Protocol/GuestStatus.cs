namespace Lamina.Management.Protocol;

/// <summary>What a machine's guest says of itself, which is not to be trusted.</summary>
public sealed record GuestStatus
{
    /// <summary>"alive" or "silent"; empty if the guest has no heartbeat.</summary>
    public string Heartbeat { get; set; } = "";

    /// <summary>Its name; empty if it does not say.</summary>
    public string HostName { get; set; } = "";

    /// <summary>Its operating system; empty if it does not say.</summary>
    public string OperatingSystem { get; set; } = "";

    /// <summary>Its network addresses.</summary>
    public IReadOnlyList<string> Addresses { get; set; } = [];
}
