using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lamina.Management.Protocol;

/// <summary>How the protocol's records become JSON, without reflection. Their properties can be set, because those that can only be initialized lose their defaults here.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    MaxDepth = ControlProtocol.MaximumDepth)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlResponse))]
[JsonSerializable(typeof(NoArguments))]
[JsonSerializable(typeof(ResumeArguments))]
[JsonSerializable(typeof(StopArguments))]
[JsonSerializable(typeof(StopResult))]
[JsonSerializable(typeof(ConsoleArguments))]
[JsonSerializable(typeof(LogArguments))]
[JsonSerializable(typeof(SizeArguments))]
[JsonSerializable(typeof(AgentResult))]
[JsonSerializable(typeof(AttachArguments))]
[JsonSerializable(typeof(DetachArguments))]
[JsonSerializable(typeof(ResizeDiskArguments))]
[JsonSerializable(typeof(LimitArguments))]
[JsonSerializable(typeof(MemoryArguments))]
[JsonSerializable(typeof(BalloonStatistics))]
[JsonSerializable(typeof(DeviceResult))]
[JsonSerializable(typeof(DeviceResult[]))]
[JsonSerializable(typeof(SnapshotArguments))]
[JsonSerializable(typeof(SnapshotResult))]
[JsonSerializable(typeof(SnapshotFiles))]
[JsonSerializable(typeof(KeyArguments))]
[JsonSerializable(typeof(MachineStatus))]
[JsonSerializable(typeof(MachineStatus[]))]
[JsonSerializable(typeof(MachineStatistics))]
public sealed partial class ControlJson : JsonSerializerContext
{
}
