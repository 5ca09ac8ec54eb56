namespace Lamina.Chipset.Serial;

/// <summary>Modem control register.</summary>
[Flags]
internal enum ModemControl : byte
{
    DataTerminalReady = 0x01,
    RequestToSend = 0x02,
    Output1 = 0x04,
    Output2 = 0x08,
    Loopback = 0x10,
}
