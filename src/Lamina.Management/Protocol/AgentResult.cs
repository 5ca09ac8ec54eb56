namespace Lamina.Management.Protocol;

/// <summary>What <see cref="ControlVerbs.Agent"/> gives.</summary>
public sealed record AgentResult
{
    /// <summary>The socket through which the guest's agent is reached: the host's side of the guest's sockets, by Firecracker's convention.</summary>
    public string Socket { get; set; } = "";

    /// <summary>The agent's port in the guest.</summary>
    public uint Port { get; set; }

    /// <summary>Whether it is known to answer now. It does not before the guest has started it, and a machine whose process is confined does not know.</summary>
    public bool Ready { get; set; }
}
