using System.Text.Json;

namespace Lamina.Management.Protocol;

/// <summary>A line from a machine: the answer to the request before. Unknown fields are to be ignored.</summary>
public sealed record ControlResponse
{
    /// <summary>The protocol's version.</summary>
    public int Version { get; set; } = ControlProtocol.Version;

    /// <summary>Whether it was done.</summary>
    public bool Ok { get; set; }

    /// <summary>The request's.</summary>
    public long? Id { get; set; }

    /// <summary>From here on the connection is the verb's stream.</summary>
    public bool Stream { get; set; }

    /// <summary>What the verb gives.</summary>
    public JsonElement? Result { get; set; }

    /// <summary>Why it was not done.</summary>
    public ControlError? Error { get; set; }
}
