using Lamina.SoftCpu.Emit;

namespace Lamina.SoftCpu.Fpu;

/// <summary>
/// Writes the instruction of a <see cref="VectorForm"/> on fixed registers, so that a stub serves every choice of guest registers: ModRM.reg is vector or MMX
/// register 1 or R8, VEX.vvvv is vector register 2 or R9, a register r/m is vector or MMX register 3, a memory r/m is [RSI], the register in the
/// immediate is vector register 4. XMM0, RAX, RCX and RDX are themselves.
/// </summary>
internal static class VectorEncoder
{
    public const int RegVector = 1;
    public const int VvvvVector = 2;
    public const int RmVector = 3;
    public const int ImmediateVector = 4;
    public const int RegGeneral = CodeWriter.R8;
    public const int VvvvGeneral = CodeWriter.R9;

    /// <summary>Writes it: at most 8 bytes.</summary>
    public static void Write(ref CodeWriter w, in VectorForm form)
    {
        VectorRow row = form.Row;
        (int opcode, byte prefix) = Temporal(row);
        int reg = row.Digit >= 0 ? row.Digit : row.Reg == OperandKind.General ? RegGeneral : RegVector;
        int modRm = ((reg & 7) << 3) | (form.Memory ? CodeWriter.Rsi : 0xc0 | RmVector);
        if (form.Vex)
        {
            int vvvv = row.Vvvv switch { OperandKind.Vector => VvvvVector, OperandKind.General => VvvvGeneral, _ => 0 };
            int pp = prefix switch { 0x66 => 1, 0xf3 => 2, 0xf2 => 3, _ => 0 };
            w.Byte(0xc4);
            w.Byte((reg < 8 ? 0xe0 : 0x60) | (opcode >> 8));
            w.Byte((form.W ? 0x80 : 0) | ((~vvvv & 15) << 3) | (form.Wide ? 4 : 0) | pp);
        }
        else
        {
            if (form.Word)
            {
                w.Byte(0x66);
            }

            if (prefix > 1)
            {
                w.Byte(prefix);
            }

            int rex = (form.W ? 8 : 0) | (reg < 8 ? 0 : 4);
            if (rex != 0)
            {
                w.Byte(0x40 | rex);
            }

            WriteMap(ref w, opcode >> 8);
        }

        w.Byte(opcode & 0xff);
        w.Byte(modRm);
        if (row.Immediate)
        {
            w.Byte(row.ImmediateRegister ? ImmediateVector << 4 : form.Immediate);
        }
    }

    private static void WriteMap(ref CodeWriter w, int map)
    {
        if (map != 0)
        {
            w.Byte(0x0f);
            if (map != 1)
            {
                w.Byte(map == 2 ? 0x38 : 0x3a);
            }
        }
    }

    /// <summary>A non-temporal store becomes an ordinary one: devices and other processors must see it without a host fence.</summary>
    public static (int Opcode, byte Prefix) Temporal(VectorRow row) => row.Opcode switch
    {
        0x12b => (0x111, row.Prefix),
        0x1c3 => (0x089, row.Prefix),
        0x1e7 => (row.Prefix == 0x66 ? 0x111 : 0x17f, row.Prefix),
        _ => (row.Opcode, row.Prefix),
    };
}
