namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>What the driver can write to the command register (enum PVSCSICommands).</summary>
internal enum PvscsiCommand : uint
{
    AdapterReset = 1,
    SetupRings = 3,
    ResetBus = 4,
    ResetDevice = 5,
    AbortCommand = 6,
    Config = 7,
    SetupMessageRing = 8,
}
