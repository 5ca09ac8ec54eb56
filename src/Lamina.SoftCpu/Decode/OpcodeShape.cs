namespace Lamina.SoftCpu.Decode;

/// <summary>What follows an opcode byte, and how its operand size is found. One byte an opcode, see <see cref="OpcodeShapes"/>.</summary>
[Flags]
internal enum OpcodeShape : byte
{
    None = 0,

    /// <summary>A ModRM byte.</summary>
    ModRm = 1,

    /// <summary>An 8-bit immediate.</summary>
    Immediate8 = 2,

    /// <summary>An immediate of the operand size, at most 32 bits.</summary>
    ImmediateZ = 4,

    /// <summary>Another immediate form, found by opcode in the decoder (far pointer, offset, 16 bits, 64 bits, group 3).</summary>
    Other = 8,

    /// <summary>64-bit operands by default in 64-bit mode, 16 with a 66 prefix.</summary>
    Stack = 16,

    /// <summary>64-bit operands always in 64-bit mode.</summary>
    Branch = 32,

    /// <summary>The opcode byte names a register in bits 2:0.</summary>
    Register = 64,

    /// <summary>Undefined in 64-bit mode.</summary>
    Legacy = 128,
}
