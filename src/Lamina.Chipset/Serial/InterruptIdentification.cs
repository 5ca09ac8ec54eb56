namespace Lamina.Chipset.Serial;

/// <summary>Interrupt identification register, bits 3:0.</summary>
internal enum InterruptIdentification : byte
{
    None = 0x01,
    LineStatus = 0x06,
    Received = 0x04,
    Timeout = 0x0c,
    TransmitterEmpty = 0x02,
    ModemStatus = 0x00,
}
