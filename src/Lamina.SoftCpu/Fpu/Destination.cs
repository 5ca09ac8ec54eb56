namespace Lamina.SoftCpu.Fpu;

/// <summary>Operands that an instruction writes.</summary>
[Flags]
internal enum Destination : byte
{
    None = 0,
    Reg = 1,
    Vvvv = 2,
    Rm = 4,
}
