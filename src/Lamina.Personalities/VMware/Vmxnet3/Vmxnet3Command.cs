namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>What the driver can write to the command register. Those with an answer are read there afterwards.</summary>
internal enum Vmxnet3Command : uint
{
    ActivateDevice = 0xcafe_0000,
    QuiesceDevice,
    ResetDevice,
    UpdateReceiveMode,
    UpdateAddressFilters,
    UpdateVlanFilters,
    UpdateScalingTable,
    UpdateFeatures = 0xcafe_0009,
    GetQueueStatus = 0xf00d_0000,
    GetStatistics,
    GetLink,
    GetPermanentAddressLow,
    GetPermanentAddressHigh,
    GetDeviceIdLow,
    GetDeviceIdHigh,
    GetExtraInformation,
    GetInterruptConfiguration,
}
