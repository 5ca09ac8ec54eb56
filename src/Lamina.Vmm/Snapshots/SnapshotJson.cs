using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lamina.Vmm.Snapshots;

/// <summary>How manifests become JSON, without reflection.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 16)]
[JsonSerializable(typeof(SnapshotManifest))]
internal sealed partial class SnapshotJson : JsonSerializerContext
{
}
