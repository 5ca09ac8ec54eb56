using System.Text.Json.Serialization;

namespace Lamina.Cli.Host;

/// <summary>How the report becomes JSON, without reflection.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(Capability[]))]
internal sealed partial class HostReportJson : JsonSerializerContext
{
}
