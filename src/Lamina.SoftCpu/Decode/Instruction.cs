using System.Runtime.InteropServices;

namespace Lamina.SoftCpu.Decode;

/// <summary>One decoded instruction: 56 bytes in native memory, shared by the interpreter and the translator.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Instruction
{
    /// <summary>Executes it. Answers <c>false</c> to leave the block, with the reason in <see cref="ProcessorContext.Outcome"/>.</summary>
    public delegate*<ProcessorContext*, Instruction*, bool> Handler;

    /// <summary>Immediate operand, sign-extended; the 64-bit offset of A0-A3; for far pointers and ENTER see <see cref="Immediate2"/>.</summary>
    public long Immediate;

    /// <summary>For a binder's use: a native stub, or a table index.</summary>
    public nint Data;

    /// <summary>Address displacement, sign-extended.</summary>
    public int Displacement;

    /// <summary>Prefixes and shape.</summary>
    public InstructionFlags Flags;

    /// <summary>Opcode byte in bits 7:0; map in bits 9:8 (0 one-byte, 1 = 0F, 2 = 0F38, 3 = 0F3A).</summary>
    public ushort Opcode;

    /// <summary>Second immediate: selector of a far pointer, nesting level of ENTER.</summary>
    public ushort Immediate2;

    /// <summary>Length in bytes, 1 to 15.</summary>
    public byte Length;

    /// <summary>ModRM as encoded.</summary>
    public byte ModRm;

    /// <summary>Base register number, or <see cref="ProcessorContext.ZeroRegister"/>.</summary>
    public byte Base;

    /// <summary>Index register number, or <see cref="ProcessorContext.ZeroRegister"/>.</summary>
    public byte Index;

    /// <summary>Shift of the index, 0 to 3.</summary>
    public byte Scale;

    /// <summary>Segment of the memory operand (default or override).</summary>
    public byte Segment;

    /// <summary>ModRM.reg with REX.R / VEX.R.</summary>
    public byte Reg;

    /// <summary>ModRM.rm with REX.B / VEX.B; for opcodes with a register in the opcode byte, that register with REX.B.</summary>
    public byte Rm;

    /// <summary>VEX.vvvv as a register number (0 where absent: check).</summary>
    public byte Vvvv;

    /// <summary>Effective operand size: 2, 4 or 8 (byte forms are told by the opcode).</summary>
    public byte OperandSize;

    /// <summary>Effective address size: 2, 4 or 8.</summary>
    public byte AddressSize;

    /// <summary>REX as encoded (0x40-0x4f), or 0; for VEX the equivalent W, R, X, B in bits 3:0.</summary>
    public byte Rex;

    /// <summary>Offset in bytes, from <see cref="ProcessorContext.Registers"/>, of an 8-bit <see cref="Reg"/> operand (AH to BH included).</summary>
    public byte Reg8;

    /// <summary>The same for an 8-bit <see cref="Rm"/> operand.</summary>
    public byte Rm8;

    /// <summary>Whether the r/m operand is memory.</summary>
    public readonly bool IsMemory => (Flags & InstructionFlags.Memory) != 0;

    /// <summary>Opcode map, 0 to 3.</summary>
    public readonly int Map => Opcode >> 8;
}
