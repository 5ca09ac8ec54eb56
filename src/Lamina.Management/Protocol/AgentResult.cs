namespace Lamina.Management.Protocol;

/// <summary>What <see cref="ControlVerbs.Agent"/> gives.</summary>
public sealed record AgentResult
{
    /// <summary>The socket through which the guest's agent is reached: the host's side of the guest's sockets, by Firecracker's convention.</summary>
    public string Socket { get; set; } = "";

    /// <summary>The agent's port in the guest.</summary>
    public uint Port { get; set; }

    /// <summary>Whether it answers now. It does not before the guest has started it.</summary>
    public bool Ready { get; set; }
}
