namespace Lamina.Chipset;

/// <summary>A device of the 8-bit ISA bus: registers of one byte each, numbered by the device.</summary>
internal interface IBytePorts
{
    /// <summary>Reads a register.</summary>
    byte ReadPort(int register);

    /// <summary>Writes a register.</summary>
    void WritePort(int register, byte value);
}
