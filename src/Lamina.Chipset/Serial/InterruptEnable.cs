namespace Lamina.Chipset.Serial;

/// <summary>Interrupt enable register.</summary>
[Flags]
internal enum InterruptEnable : byte
{
    Received = 0x01,
    TransmitterEmpty = 0x02,
    LineStatus = 0x04,
    ModemStatus = 0x08,
}
