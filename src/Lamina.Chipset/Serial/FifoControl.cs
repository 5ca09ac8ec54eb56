namespace Lamina.Chipset.Serial;

/// <summary>FIFO control register.</summary>
[Flags]
internal enum FifoControl : byte
{
    Enable = 0x01,
    ClearReceiver = 0x02,
    ClearTransmitter = 0x04,
    TriggerMask = 0xc0,
}
