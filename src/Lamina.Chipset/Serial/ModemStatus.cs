namespace Lamina.Chipset.Serial;

/// <summary>Modem status register.</summary>
[Flags]
internal enum ModemStatus : byte
{
    DeltaClearToSend = 0x01,
    DeltaDataSetReady = 0x02,
    TrailingRingIndicator = 0x04,
    DeltaCarrierDetect = 0x08,
    ClearToSend = 0x10,
    DataSetReady = 0x20,
    RingIndicator = 0x40,
    CarrierDetect = 0x80,
}
