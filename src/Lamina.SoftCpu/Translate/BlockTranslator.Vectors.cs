using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Vector instructions, and those on general registers that came with them (BMI, MOVBE, CRC32). Vector registers are themselves: the block's entry has made
/// sure that they are in the host's (<see cref="ProcessorContext.VectorsOff"/>).
/// </summary>
internal unsafe ref partial struct BlockTranslator
{
    // What the rows of an opcode have in common with this instruction; null: not translated.
    private readonly VectorRow? FindVectorRow(Instruction* i)
    {
        if ((i->Flags & (InstructionFlags.Lock | InstructionFlags.Undefined | InstructionFlags.Dropped)) != 0 || VectorBinder.FindRow(i, _features) is not { } row)
        {
            return null;
        }

        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        bool highByte = !i->IsMemory && row.Rm == OperandKind.General && row.Width == OperandWidth.Bits8 && i->Rex == 0 && i->Rm is >= 4 and < 8;
        return row.UsesMmx || highByte || (vex && row.UsesVectors && !_wideVectors) ? null : row;
    }

    // VZEROUPPER, VZEROALL.
    private readonly bool IsZero(Instruction* i)
    {
        const InstructionFlags other = InstructionFlags.Lock | InstructionFlags.Undefined | InstructionFlags.Dropped;
        return _wideVectors && i->Opcode == 0x177 && (i->Flags & InstructionFlags.Vex) != 0 && (i->Flags & other) == 0;
    }

    // Whether any instruction of the block wants the vector registers.
    private readonly bool FindsVectors()
    {
        for (int n = 0; n < _count; n++)
        {
            Instruction* i = InstructionAt(n);
            if (i->Map != 0 && (IsZero(i) || FindVectorRow(i) is { UsesVectors: true }))
            {
                return true;
            }
        }

        return false;
    }

    private bool Vector(Instruction* i)
    {
        if (IsZero(i))
        {
            _asm.Byte(0xc5);
            _asm.Byte((i->Flags & InstructionFlags.VexL) != 0 ? 0xfc : 0xf8);
            _asm.Byte(0x77);
            return true;
        }

        if (FindVectorRow(i) is not { } row)
        {
            return false;
        }

        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        bool wide = (i->Flags & InstructionFlags.VexL) != 0 && !row.Has(RowAttributes.IgnoresLength);
        bool w = (i->Rex & 8) != 0 && (row.WidthByW || row.Has(RowAttributes.W1));
        int offset = 0;
        if (i->IsMemory)
        {
            int size = row.MemorySize(wide, w, i->OperandSize);
            bool aligned = vex ? row.Has(RowAttributes.Aligned) : size == 16 && !row.Has(RowAttributes.Unaligned);
            offset = EmitOperand(i, size, (row.Destination & Destination.Rm) != 0, aligned);
        }

        EmitRestoreNeeded();
        int reg = row.Digit >= 0 ? row.Digit : row.Reg == OperandKind.General ? Operand(i->Reg, Host.Value, Use.Both, 8) : i->Reg;
        int vvvv = row.Vvvv switch
        {
            OperandKind.General => Operand(i->Vvvv, Host.Temporary, Use.Both, 8),
            OperandKind.Vector => i->Vvvv,
            _ => 0,
        };
        int rm = i->IsMemory ? Host.Address : row.Rm == OperandKind.General ? Operand(i->Rm, Host.Address, Use.Both, 8) : i->Rm;
        (int opcode, int prefix) = VectorEncoder.Temporal(row);
        if (vex)
        {
            _asm.Vex(opcode, prefix, reg, vvvv, rm, w, wide, i->IsMemory, offset);
        }
        else
        {
            if (row.Has(RowAttributes.Word) && i->OperandSize == 2)
            {
                _asm.Byte(0x66);
            }

            if (prefix > 1)
            {
                _asm.Byte(prefix);
            }

            // SPL to DIL need a REX prefix.
            bool force = !i->IsMemory && row.Width == OperandWidth.Bits8 && row.Rm == OperandKind.General && rm >= 4;
            int host = (opcode >> 8) switch { 0 => opcode, 1 => 0x0f00 | (opcode & 0xff), 2 => 0x0f3800 | (opcode & 0xff), _ => 0x0f3a00 | (opcode & 0xff) };
            if (i->IsMemory)
            {
                _asm.MemoryForm(host, reg, rm, offset, w, force);
            }
            else
            {
                _asm.RegisterForm(host, reg, rm, w, force);
            }
        }

        if (row.Immediate)
        {
            _asm.Byte(i->Immediate2 >> 8);
        }

        // MULX with both destinations the same leaves the upper half, which is Reg's (Intel SDM volume 2, MULX).
        if (row.Vvvv == OperandKind.General && (row.Destination & Destination.Vvvv) != 0)
        {
            PutBack(i->Vvvv, vvvv, Use.Write);
        }

        if (row.Digit < 0 && row.Reg == OperandKind.General && (row.Destination & Destination.Reg) != 0)
        {
            PutBack(i->Reg, reg, Use.Write);
        }

        if (!i->IsMemory && row.Rm == OperandKind.General && (row.Destination & Destination.Rm) != 0)
        {
            PutBack(i->Rm, rm, Use.Write);
        }

        NoteWritten();
        return true;
    }
}
