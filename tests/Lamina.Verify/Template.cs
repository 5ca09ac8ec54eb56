using Iced.Intel;

namespace Lamina.Verify;

/// <summary>One way to encode an instruction: what is fixed of its bytes.</summary>
/// <param name="Code">The instruction.</param>
/// <param name="Vex">Whether it has a VEX prefix.</param>
/// <param name="Map">Opcode map, 0 to 3.</param>
/// <param name="Prefix">Mandatory or operand-size prefix: 0, 0x66, 0xf3 or 0xf2.</param>
/// <param name="W">REX.W or VEX.W.</param>
/// <param name="Long">VEX.L.</param>
/// <param name="Opcode">The opcode's byte.</param>
/// <param name="Digit">ModRM.reg where it matters.</param>
/// <param name="Memory">Whether the operand is in memory.</param>
/// <param name="Rm">ModRM.rm where it matters, or -1.</param>
internal readonly record struct Template(Code Code, bool Vex, int Map, byte Prefix, bool W, bool Long, byte Opcode, int Digit, bool Memory, int Rm)
{
    /// <summary>Whether it has a vector of indices.</summary>
    public bool IsGather => Vex && Map == 2 && Opcode is >= 0x90 and <= 0x93;
}
