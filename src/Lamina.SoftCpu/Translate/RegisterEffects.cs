using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Translate;

/// <summary>Which general registers an instruction may change, one bit each. More than it does is harmless, fewer would be wrong.</summary>
internal static unsafe class RegisterEffects
{
    private const int All = 0xffff;
    private const int Stack = 4;

    /// <summary>Registers that may change; <paramref name="row"/>: what the vector tables say of it.</summary>
    public static int Written(Instruction* i, VectorRow? row)
    {
        int reg = 1 << i->Reg;
        int rm = i->IsMemory ? 0 : 1 << i->Rm;
        if (i->Map != 0)
        {
            return (i->Flags & InstructionFlags.Vex) != 0 || i->Map > 1 ? Vector(i, row) : TwoByte(i, row, reg, rm);
        }

        // AH to BH without REX.
        if (i->Rex == 0)
        {
            reg |= 1 << (i->Reg & 3);
            rm |= i->IsMemory ? 0 : 1 << (i->Rm & 3);
        }

        int digit = (i->ModRm >> 3) & 7;
        switch (i->Opcode)
        {
            case < 0x40 when (i->Opcode & 7) < 6:
                return i->Opcode >= 0x38 ? 0 : (i->Opcode & 7) switch { < 2 => rm, < 4 => reg, _ => 1 };
            case (>= 0x50 and <= 0x57) or 0x68 or 0x6a or 0xe8:
                return 1 << Stack;
            case >= 0x58 and <= 0x5f:
                return (1 << Stack) | rm;
            case 0x63 or 0x69 or 0x6b or 0x8a or 0x8b or 0x8d:
                return reg;
            case (>= 0x70 and <= 0x7f) or 0x84 or 0x85 or 0xa8 or 0xa9 or 0xf5 or 0xf8 or 0xf9 or (>= 0xfa and <= 0xfd):
                return 0;
            case 0x80 or 0x81 or 0x83:
                return digit == 7 ? 0 : rm;
            case 0x86 or 0x87:
                return reg | rm;
            case 0x88 or 0x89 or 0xc0 or 0xc1 or 0xc6 or 0xc7 or (>= 0xd0 and <= 0xd3) or (>= 0xb0 and <= 0xbf):
                return rm;
            case 0x90 when (i->Rex & 1) == 0:
                return 0;
            case 0x98:
                return 1;
            case 0x99:
                return 4;
            case >= 0xd8 and <= 0xdf:
                return 1; // FNSTSW AX
            case 0xf6 or 0xf7:
                return digit switch { 0 or 1 => 0, 2 or 3 => rm, _ => 5 };
            case 0xfe or 0xff when digit < 2:
                return rm;
            default:
                return All;
        }
    }

    /// <summary>Whether an instruction adds a constant to a register, all of its 64 bits, and changes no other.</summary>
    public static bool IsStep(Instruction* i, out int register, out long distance)
    {
        register = i->Rm;
        distance = 0;
        if (i->Map != 0 || i->OperandSize != 8)
        {
            return false;
        }

        int digit = (i->ModRm >> 3) & 7;
        switch (i->Opcode)
        {
            case (>= 0x50 and <= 0x57) or 0x68 or 0x6a or 0xe8:
                register = Stack;
                distance = -8;
                return true;
            case 0x81 or 0x83 when !i->IsMemory && digit is 0 or 5:
                distance = digit == 0 ? i->Immediate : -i->Immediate;
                return true;
            case 0x8d when i->Base == i->Reg && i->Index == ProcessorContext.ZeroRegister && i->AddressSize == 8 && (i->Flags & InstructionFlags.RipRelative) == 0:
                register = i->Reg;
                distance = i->Displacement;
                return true;
            case 0xff when !i->IsMemory && digit < 2:
                distance = digit == 0 ? 1 : -1;
                return true;
            default:
                return false;
        }
    }

    private static int TwoByte(Instruction* i, VectorRow? row, int reg, int rm)
    {
        int low = i->Rex == 0 && !i->IsMemory ? 1 << (i->Rm & 3) : 0;
        return (i->Opcode & 0xff) switch
        {
            (>= 0x80 and <= 0x8f) or 0xa3 or 0x0d or (>= 0x18 and <= 0x1f) => 0,
            (>= 0x40 and <= 0x4f) or 0xaf or 0xb6 or 0xb7 or 0xbe or 0xbf or 0xbc or 0xbd or 0xb8 => reg,
            >= 0x90 and <= 0x9f => rm | low,
            0xab or 0xb3 or 0xbb or 0xba or 0xa4 or 0xa5 or 0xac or 0xad or (>= 0xc8 and <= 0xcf) => rm,
            0xc0 or 0xc1 => reg | rm | low | (i->Rex == 0 ? 1 << (i->Reg & 3) : 0),
            0xb0 or 0xb1 => 1 | rm | low,
            0x31 => 5,
            _ => Vector(i, row),
        };
    }

    private static int Vector(Instruction* i, VectorRow? row)
    {
        if (row is not { } known)
        {
            return All;
        }

        // PCMPESTRI and PCMPISTRI answer in RCX.
        int written = i->Map == 3 && (i->Opcode & 0xff) is >= 0x60 and <= 0x63 ? 2 : 0;
        written |= known.Reg == OperandKind.General ? 1 << i->Reg : 0;
        written |= known.Vvvv == OperandKind.General ? 1 << i->Vvvv : 0;
        return written | (known.Rm == OperandKind.General && !i->IsMemory ? 1 << i->Rm : 0);
    }
}
