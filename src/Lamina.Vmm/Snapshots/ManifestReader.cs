using System.Text.Json;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// Reads manifests. <see cref="JsonSerializer"/> would do the same, but what it makes ready before its first object takes longer than the rest of opening a snapshot. Unknown fields are
/// ignored, and of a field that is there twice the last one counts. What has no business to be null may be null afterwards.
/// </summary>
internal static class ManifestReader
{
    private const int MaximumDepth = 16;

    private delegate T ElementReader<T>(ref Utf8JsonReader reader);

    private delegate void FieldReader<T>(ref Utf8JsonReader reader, string field, T target);

    /// <summary>Reads one.</summary>
    /// <exception cref="SnapshotException">It is no JSON, or a field has another type than it should have; the message says where.</exception>
    public static SnapshotManifest Read(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = MaximumDepth });
        try
        {
            reader.Read();
            SnapshotManifest manifest = ReadObject<SnapshotManifest>(ref reader, ReadField) ?? throw new SnapshotException($"'{MachineSnapshot.ManifestFile}' is empty");
            return reader.Read() ? throw new JsonException("There is more behind its end.") : manifest;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new SnapshotException($"'{MachineSnapshot.ManifestFile}' makes no sense, at its byte {reader.TokenStartIndex}: {e.Message}", e);
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SnapshotManifest manifest)
    {
        switch (field)
        {
            case "format": manifest.Format = reader.GetInt32(); break;
            case "machine": manifest.Machine = reader.GetString()!; break;
            case "name": manifest.Name = reader.GetString()!; break;
            case "unixTime": manifest.UnixTime = reader.GetUInt64(); break;
            case "machineTime": manifest.MachineTime = reader.GetUInt64(); break;
            case "accelerator": manifest.Accelerator = reader.GetString()!; break;
            case "memoryBytes": manifest.MemoryBytes = reader.GetUInt64(); break;
            case "startMemoryBytes": manifest.StartMemoryBytes = IsNull(ref reader) ? null : reader.GetUInt64(); break;
            case "processors": manifest.Processors = reader.GetInt32(); break;
            case "cpuModel": manifest.CpuModel = reader.GetString()!; break;
            case "personality": manifest.Personality = reader.GetString()!; break;
            case "transport": manifest.Transport = reader.GetString()!; break;
            case "tscFrequency": manifest.TscFrequency = reader.GetUInt64(); break;
            case "physicalAddressBits": manifest.PhysicalAddressBits = reader.GetInt32(); break;
            case "cpuid": manifest.Cpuid = ReadArray(ref reader, ReadNumbers)!; break;
            case "hasConsole": manifest.HasConsole = reader.GetBoolean(); break;
            case "hasTestDevices": manifest.HasTestDevices = reader.GetBoolean(); break;
            case "ports": manifest.Ports = ReadArray(ref reader, ReadString)!; break;
            case "balloon": manifest.Balloon = ReadObject<SavedBalloon>(ref reader, ReadField); break;
            case "socketAddress": manifest.SocketAddress = IsNull(ref reader) ? null : reader.GetUInt64(); break;
            case "socketPath": manifest.SocketPath = reader.GetString(); break;
            case "screen": manifest.Screen = ReadArray(ref reader, ReadNumber); break;
            case "disks": manifest.Disks = ReadArray(ref reader, ReadDisk)!; break;
            case "networks": manifest.Networks = ReadArray(ref reader, ReadNetwork)!; break;
            case "shares": manifest.Shares = ReadArray(ref reader, ReadShare)!; break;
            case "emptySlots": manifest.EmptySlots = ReadArray(ref reader, ReadNumber)!; break;
            case "base": manifest.Base = ReadObject<BaseSnapshot>(ref reader, ReadField); break;
            case "compression": manifest.Compression = reader.GetString(); break;
            case "boot": manifest.Boot = ReadObject<SavedBoot>(ref reader, ReadField); break;
            case "onReboot": manifest.OnReboot = reader.GetString(); break;
            case "restartsOnTripleFault": manifest.RestartsOnTripleFault = reader.GetBoolean(); break;
            case "devices": manifest.Devices = ReadArray(ref reader, ReadDevice)!; break;
            case "files": manifest.Files = ReadArray(ref reader, ReadFile)!; break;
            case "labels": manifest.Labels = ReadObject<Dictionary<string, string>>(ref reader, ReadLabel)!; break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedBalloon balloon)
    {
        switch (field)
        {
            case "target": balloon.Target = reader.GetUInt64(); break;
            case "deflatesOnOutOfMemory": balloon.DeflatesOnOutOfMemory = reader.GetBoolean(); break;
            case "reportsFreePages": balloon.ReportsFreePages = reader.GetBoolean(); break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedDisk disk)
    {
        switch (field)
        {
            case "path": disk.Path = reader.GetString()!; break;
            case "isCopied": disk.IsCopied = reader.GetBoolean(); break;
            case "format": disk.Format = reader.GetString()!; break;
            case "isReadOnly": disk.IsReadOnly = reader.GetBoolean(); break;
            case "length": disk.Length = reader.GetUInt64(); break;
            case "serial": disk.Serial = reader.GetString(); break;
            case "number": disk.Number = reader.GetInt32(); break;
            case "slot": disk.Slot = IsNull(ref reader) ? null : reader.GetInt32(); break;
            case "limits": disk.Limits = ReadObject<SavedLimits>(ref reader, ReadField); break;
            case "waitsForSpace": disk.WaitsForSpace = reader.GetBoolean(); break;
            case "hasPersistentGrants": disk.HasPersistentGrants = reader.GetBoolean(); break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedNetwork network)
    {
        switch (field)
        {
            case "kind": network.Kind = reader.GetString()!; break;
            case "name": network.Name = reader.GetString(); break;
            case "hardwareAddress": network.HardwareAddress = reader.GetString()!; break;
            case "number": network.Number = reader.GetInt32(); break;
            case "queuePairs": network.QueuePairs = IsNull(ref reader) ? null : reader.GetInt32(); break;
            case "slot": network.Slot = IsNull(ref reader) ? null : reader.GetInt32(); break;
            case "limits": network.Limits = ReadObject<SavedLimits>(ref reader, ReadField); break;
            case "publishedPorts": network.PublishedPorts = ReadArray(ref reader, ReadString)!; break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedLimits limits)
    {
        switch (field)
        {
            case "operationsPerSecond": limits.OperationsPerSecond = reader.GetUInt64(); break;
            case "bytesPerSecond": limits.BytesPerSecond = reader.GetUInt64(); break;
            case "burstMilliseconds": limits.BurstMilliseconds = reader.GetUInt32(); break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedShare share)
    {
        switch (field)
        {
            case "path": share.Path = reader.GetString()!; break;
            case "tag": share.Tag = reader.GetString()!; break;
            case "isReadOnly": share.IsReadOnly = reader.GetBoolean(); break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, BaseSnapshot below)
    {
        switch (field)
        {
            case "path": below.Path = reader.GetString()!; break;
            case "sha256": below.Sha256 = reader.GetString()!; break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedBoot boot)
    {
        switch (field)
        {
            case "protocol": boot.Protocol = reader.GetString()!; break;
            case "hasInitrd": boot.HasInitrd = reader.GetBoolean(); break;
            case "commandLine": boot.CommandLine = reader.GetString()!; break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedDevice device)
    {
        switch (field)
        {
            case "name": device.Name = reader.GetString()!; break;
            case "version": device.Version = reader.GetUInt32(); break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadField(ref Utf8JsonReader reader, string field, SavedFile file)
    {
        switch (field)
        {
            case "name": file.Name = reader.GetString()!; break;
            case "length": file.Length = reader.GetUInt64(); break;
            case "sha256": file.Sha256 = reader.GetString()!; break;
            default: reader.Skip(); break;
        }
    }

    private static void ReadLabel(ref Utf8JsonReader reader, string name, Dictionary<string, string> labels) => labels[name] = reader.GetString()!;

    private static SavedDisk? ReadDisk(ref Utf8JsonReader reader) => ReadObject<SavedDisk>(ref reader, ReadField);

    private static SavedNetwork? ReadNetwork(ref Utf8JsonReader reader) => ReadObject<SavedNetwork>(ref reader, ReadField);

    private static SavedShare? ReadShare(ref Utf8JsonReader reader) => ReadObject<SavedShare>(ref reader, ReadField);

    private static SavedDevice? ReadDevice(ref Utf8JsonReader reader) => ReadObject<SavedDevice>(ref reader, ReadField);

    private static SavedFile? ReadFile(ref Utf8JsonReader reader) => ReadObject<SavedFile>(ref reader, ReadField);

    private static uint[]? ReadNumbers(ref Utf8JsonReader reader) => ReadArray(ref reader, ReadUnsigned);

    private static uint ReadUnsigned(ref Utf8JsonReader reader) => reader.GetUInt32();

    private static int ReadNumber(ref Utf8JsonReader reader) => reader.GetInt32();

    private static string? ReadString(ref Utf8JsonReader reader) => reader.GetString();

    private static bool IsNull(ref Utf8JsonReader reader) => reader.TokenType == JsonTokenType.Null;

    // From the token that begins the value to the one that ends it.
    private static T? ReadObject<T>(ref Utf8JsonReader reader, FieldReader<T> readField)
        where T : class, new()
    {
        if (IsNull(ref reader))
        {
            return null;
        }

        Expect(ref reader, JsonTokenType.StartObject);
        T target = new();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string field = reader.GetString()!;
            reader.Read();
            readField(ref reader, field, target);
        }

        return target;
    }

    private static T[]? ReadArray<T>(ref Utf8JsonReader reader, ElementReader<T> readElement)
    {
        if (IsNull(ref reader))
        {
            return null;
        }

        Expect(ref reader, JsonTokenType.StartArray);
        List<T> elements = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            elements.Add(readElement(ref reader));
        }

        return [.. elements];
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type)
    {
        if (reader.TokenType != type)
        {
            throw new JsonException($"There is a {reader.TokenType} where a {type} should be.");
        }
    }
}
