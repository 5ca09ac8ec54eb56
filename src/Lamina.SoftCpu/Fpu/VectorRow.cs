namespace Lamina.SoftCpu.Fpu;

/// <summary>One row of <see cref="VectorTable"/>.</summary>
internal sealed class VectorRow
{
    /// <summary>Name without the V of VEX.</summary>
    public required string Name { get; init; }

    /// <summary>Mandatory prefix: 0 none, 0x66, 0xf3, 0xf2; 1 for "none or 66, by operand size".</summary>
    public byte Prefix { get; init; }

    /// <summary>Map in bits 9:8 and opcode, as <see cref="Decode.Instruction.Opcode"/>.</summary>
    public ushort Opcode { get; init; }

    /// <summary>ModRM.reg as a part of the opcode, or -1.</summary>
    public sbyte Digit { get; init; } = -1;

    /// <summary>What ModRM.reg names.</summary>
    public OperandKind Reg { get; set; }

    /// <summary>What VEX.vvvv names.</summary>
    public OperandKind Vvvv { get; set; }

    /// <summary>What ModRM.rm names when it is a register.</summary>
    public OperandKind Rm { get; set; }

    /// <summary>The r/m operand may be a register.</summary>
    public bool AllowsRegister { get; set; }

    /// <summary>The r/m operand may be memory.</summary>
    public bool AllowsMemory { get; set; }

    /// <summary>Size of the memory operand.</summary>
    public OperandWidth Width { get; set; }

    /// <summary>The operand that is written.</summary>
    public Destination Destination { get; set; }

    /// <summary>Has an immediate byte.</summary>
    public bool Immediate { get; set; }

    /// <summary>Bits 7:4 of the immediate byte name a vector register.</summary>
    public bool ImmediateRegister { get; set; }

    /// <summary>Everything else.</summary>
    public RowAttributes Attributes { get; set; }

    /// <summary>Features that offer the legacy encoding; none: there is no such encoding.</summary>
    public ProcessorFeatures Legacy { get; set; }

    /// <summary>Features that offer VEX with L=0.</summary>
    public ProcessorFeatures Vex128 { get; set; }

    /// <summary>Features that offer VEX with L=1.</summary>
    public ProcessorFeatures Vex256 { get; set; }

    /// <summary>Any operand is in an MMX register.</summary>
    public bool UsesMmx => Reg == OperandKind.Mmx || Rm == OperandKind.Mmx;

    /// <summary>Any operand is in a vector register.</summary>
    public bool UsesVectors => Reg == OperandKind.Vector || Rm == OperandKind.Vector || Vvvv == OperandKind.Vector;

    /// <summary>W selects 32 or 64 bits, and is ignored outside 64-bit mode.</summary>
    public bool WidthByW => Reg == OperandKind.General || Vvvv == OperandKind.General || Rm == OperandKind.General || Has(RowAttributes.ReadsLengths);

    /// <summary>Tests attributes.</summary>
    public bool Has(RowAttributes attributes) => (Attributes & attributes) != 0;

    /// <summary>Size of the memory operand in bytes.</summary>
    public int MemorySize(bool vex256, bool w, int operandSize)
    {
        int vector = vex256 ? 32 : 16;
        return Width switch
        {
            OperandWidth.None => 0,
            OperandWidth.Vector => vector,
            OperandWidth.Half => vector / 2,
            OperandWidth.Quarter => vector / 4,
            OperandWidth.Eighth => vector / 8,
            OperandWidth.Duplicate => vex256 ? 32 : 8,
            OperandWidth.ByW => w ? 8 : 4,
            OperandWidth.ByOperandSize => operandSize,
            _ => (int)Width / 8,
        };
    }
}
