using System.Text.Json;

namespace Lamina.Management.Protocol;

/// <summary>A line from a client. Unknown fields are ignored.</summary>
public sealed record ControlRequest
{
    /// <summary>The protocol's version; 1 if it is left out.</summary>
    public int Version { get; set; } = ControlProtocol.Version;

    /// <summary>What is wanted.</summary>
    public string? Verb { get; set; }

    /// <summary>Comes back in the response.</summary>
    public long? Id { get; set; }

    /// <summary>The verb's arguments: an object.</summary>
    public JsonElement? Arguments { get; set; }
}
