using System.Runtime.InteropServices;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Fpu;

/// <summary>
/// What handlers need at run time. The binder puts it in place of <see cref="Instruction.Immediate"/>, whose byte is in the stub and, for who wants to
/// look, in bits 15:8 of <see cref="Instruction.Immediate2"/>; bits 7:0 of that are the <see cref="UnitGates"/> to check.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VectorOperands
{
    /// <summary>Offset in the context of the ModRM.reg operand.</summary>
    public ushort Reg;

    /// <summary>Offset of the VEX.vvvv operand; for MMX instructions that of the MMX register that is written, or 0.</summary>
    public ushort Vvvv;

    /// <summary>Offset of the r/m operand, if it is a register.</summary>
    public ushort Rm;

    /// <summary>Size of the memory operand in bytes.</summary>
    public byte Size;

    /// <summary>Low bits of its linear address that must be zero.</summary>
    public byte AlignmentMask;

    /// <summary>The descriptor of a bound instruction.</summary>
    public static VectorOperands* Of(Instruction* i) => (VectorOperands*)&i->Immediate;

    /// <summary>The gates of a bound instruction.</summary>
    public static UnitGates Gates(Instruction* i) => (UnitGates)(byte)i->Immediate2;
}
