namespace Lamina.SoftCpu.Fpu;

/// <summary>How the size of a memory operand is found. Values from 8 are a size in bits.</summary>
internal enum OperandWidth : byte
{
    None,
    Vector,
    Half,
    Quarter,
    Eighth,
    Duplicate,
    ByW,
    ByOperandSize,
    Bits8 = 8,
    Bits16 = 16,
    Bits32 = 32,
    Bits64 = 64,
    Bits128 = 128,
}
