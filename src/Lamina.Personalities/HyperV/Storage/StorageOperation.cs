namespace Lamina.Personalities.HyperV.Storage;

/// <summary>Operations of the storage protocol (enum vstor_packet_operation).</summary>
internal enum StorageOperation : uint
{
    CompleteIo = 1,
    RemoveDevice = 2,
    ExecuteSrb = 3,
    ResetUnit = 4,
    ResetAdapter = 5,
    ResetBus = 6,
    BeginInitialization = 7,
    EndInitialization = 8,
    QueryProtocolVersion = 9,
    QueryProperties = 10,
    EnumerateBus = 11,
    CreateSubChannels = 13,
}
