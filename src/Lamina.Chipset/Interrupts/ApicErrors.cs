namespace Lamina.Chipset.Interrupts;

/// <summary>Bits of the error status register (Intel SDM volume 3, section 11.5.3).</summary>
[Flags]
internal enum ApicErrors
{
    None = 0,
    SendIllegalVector = 1 << 5,
    ReceiveIllegalVector = 1 << 6,
    IllegalRegisterAddress = 1 << 7,
}
