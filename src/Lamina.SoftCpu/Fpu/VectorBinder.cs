using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Finds the handler and stub of every instruction of this folder.</summary>
internal static unsafe class VectorBinder
{
    /// <summary>
    /// Binds a decoded instruction: sets its handler and data. Answers <c>false</c> if it is none of these, or not offered: then nobody else's, it raises #UD.
    /// </summary>
    /// <param name="i">Complete except for handler and data.</param>
    /// <param name="features">What CPUID offers.</param>
    /// <param name="stubs">Where stubs are made.</param>
    /// <param name="codeSize">2, 4 or 8.</param>
    public static bool TryBind(Instruction* i, ProcessorFeatures features, StubCache stubs, int codeSize)
    {
        if ((i->Flags & InstructionFlags.Lock) != 0)
        {
            return false;
        }

        features &= HostFeatures.All;
        return i->Map == 0
            ? X87Binder.TryBind(i, features, stubs)
            : StateBinder.TryBind(i, features, codeSize) || TryBindRow(i, features, stubs, codeSize);
    }

    /// <summary>The row of a bound instruction that is executed by its stub, or null.</summary>
    public static VectorRow? FindRow(Instruction* i, ProcessorFeatures features)
    {
        if (i->Data == 0 || i->Map == 0)
        {
            return null;
        }

        foreach (VectorRow row in VectorRows.Find(i->Opcode & 0x3ff))
        {
            if (Matches(row, i, features & HostFeatures.All))
            {
                return row;
            }
        }

        return null;
    }

    private static bool TryBindRow(Instruction* i, ProcessorFeatures features, StubCache stubs, int codeSize)
    {
        foreach (VectorRow row in VectorRows.Find(i->Opcode & 0x3ff))
        {
            if (Matches(row, i, features))
            {
                Bind(row, i, stubs, codeSize);
                return true;
            }
        }

        return false;
    }

    private static bool Matches(VectorRow row, Instruction* i, ProcessorFeatures features)
    {
        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        bool wide = (i->Flags & InstructionFlags.VexL) != 0;
        ProcessorFeatures needed = !vex ? row.Legacy : wide ? row.Vex256 : row.Vex128;
        if (needed == ProcessorFeatures.None || (features & needed) != needed)
        {
            return false;
        }

        int prefix = (i->Flags & InstructionFlags.Repne) != 0 ? 0xf2 : (i->Flags & InstructionFlags.Rep) != 0 ? 0xf3
            : (i->Flags & InstructionFlags.OperandSize) != 0 ? 0x66 : 0;
        if (prefix != row.Prefix && !(row.Prefix == 1 && prefix is 0 or 0x66))
        {
            return false;
        }

        if ((row.Digit >= 0 && ((i->ModRm >> 3) & 7) != row.Digit) || !(i->IsMemory ? row.AllowsMemory : row.AllowsRegister))
        {
            return false;
        }

        return !vex || (
            (row.Vvvv != OperandKind.None || i->Vvvv == 0) &&
            !((i->Rex & 8) != 0 ? row.Has(RowAttributes.W0) : row.Has(RowAttributes.W1)));
    }

    private static void Bind(VectorRow row, Instruction* i, StubCache stubs, int codeSize)
    {
        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        bool wide = (i->Flags & InstructionFlags.VexL) != 0 && !row.Has(RowAttributes.IgnoresLength);
        bool w = (i->Rex & 8) != 0 && (row.WidthByW ? codeSize == 8 : row.Has(RowAttributes.W1));
        bool general = !i->IsMemory && row.Rm == OperandKind.General;
        byte immediate = (byte)i->Immediate;
        VectorForm form = new()
        {
            Row = row,
            Vex = vex,
            Wide = wide,
            W = w,
            Memory = i->IsMemory || general,
            Word = row.Has(RowAttributes.Word) && i->OperandSize == 2,
            Immediate = row.ImmediateRegister && codeSize != 8 ? (byte)(immediate & 0x7f) : immediate,
        };
        i->Data = stubs.Vector(form);
        int size = i->IsMemory ? row.MemorySize(wide, w, i->OperandSize) : 0;
        VectorOperands operands = new()
        {
            Reg = (ushort)Offset(row.Reg, i->Reg),
            Vvvv = (ushort)(row.UsesMmx ? MmxDestination(row, i) : Offset(row.Vvvv, i->Vvvv)),
            Rm = (ushort)Offset(row.Rm, i->Rm),
            Size = (byte)size,
            AlignmentMask = (byte)(vex ? row.Has(RowAttributes.Aligned) ? size - 1 : 0 : size == 16 && !row.Has(RowAttributes.Unaligned) ? 15 : 0),
        };
        if (general && row.Reg == OperandKind.General && row.Width == OperandWidth.Bits8)
        {
            // CRC32 of an 8-bit register, which may be AH to BH.
            operands.Rm = (ushort)(ContextOffsets.Registers + i->Rm8);
        }

        *VectorOperands.Of(i) = operands;
        i->Immediate2 = (ushort)((immediate << 8) | (byte)Gates(row, vex));
        bool store = (row.Destination & Destination.Rm) != 0;
        bool vexGeneral = vex && !row.UsesVectors && codeSize != 8;
        i->Handler = HandlerTable.Find(row, i->IsMemory, store, general, vexGeneral);
    }

    private static int Offset(OperandKind kind, int register) => kind switch
    {
        OperandKind.Vector => ContextOffsets.Vector(register),
        OperandKind.Mmx => ContextOffsets.Mmx(register),
        OperandKind.General => ContextOffsets.General(register),
        _ => 0,
    };

    private static int MmxDestination(VectorRow row, Instruction* i) => row.Destination switch
    {
        Destination.Reg when row.Reg == OperandKind.Mmx => ContextOffsets.Mmx(i->Reg),
        Destination.Rm when row.Rm == OperandKind.Mmx && !i->IsMemory => ContextOffsets.Mmx(i->Rm),
        _ => 0,
    };

    private static UnitGates Gates(VectorRow row, bool vex)
    {
        UnitGates gates = row.UsesMmx ? UnitGates.Mmx : UnitGates.None;
        return row.UsesVectors ? gates | (vex ? UnitGates.Avx : UnitGates.Sse) : gates;
    }
}
