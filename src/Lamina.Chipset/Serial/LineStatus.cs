namespace Lamina.Chipset.Serial;

/// <summary>Line status register.</summary>
[Flags]
internal enum LineStatus : byte
{
    DataReady = 0x01,
    Overrun = 0x02,
    Parity = 0x04,
    Framing = 0x08,
    Break = 0x10,
    TransmitterHoldingEmpty = 0x20,
    TransmitterEmpty = 0x40,
    FifoError = 0x80,
}
