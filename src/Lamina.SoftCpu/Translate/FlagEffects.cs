using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Translate;

/// <summary>Which status flags an instruction reads, and which it overwrites whatever they were (Intel SDM volume 1, appendix A).</summary>
internal readonly record struct FlagEffects(uint Reads, uint Writes)
{
    /// <summary>Flags that are left undefined count as written: nobody can rely on them.</summary>
    public static FlagEffects Of(in Instruction i)
    {
        const uint all = Flags.Status;
        int op = i.Opcode;
        int digit = (i.ModRm >> 3) & 7;
        if (op >= 0x110 && IsVector(op))
        {
            // COMISS and PTEST, with their kin, write all; PCMPxSTRx does too, and VTESTPx.
            return op is 0x12e or 0x12f or 0x217 or 0x20e or 0x20f or (>= 0x360 and <= 0x363) ? new FlagEffects(0, all) : default;
        }

        if ((i.Flags & InstructionFlags.Vex) != 0)
        {
            return new FlagEffects(all, 0);
        }

        if (op == 0x1b8)
        {
            return new FlagEffects(0, all);
        }

        switch (op)
        {
            case < 0x40 when (op & 7) < 6:
                return Arithmetic(op >> 3);
            case 0x80 or 0x81 or 0x83:
                return Arithmetic(digit);
            case >= 0x50 and <= 0x5f or 0x63 or 0x68 or 0x6a or 0x86 or 0x87 or >= 0x88 and <= 0x8b or 0x8d or >= 0x90 and <= 0x99:
            case >= 0xb0 and <= 0xbf or 0xc6 or 0xc7 or 0xc9 or 0xc2 or 0xc3 or 0xe8 or 0xe9 or 0xeb:
            case 0x11e or 0x11f or 0x118 or 0x119 or 0x10d or 0x1b6 or 0x1b7 or 0x1be or 0x1bf or >= 0x1c8 and <= 0x1cf:
                return default;
            case 0x69 or 0x6b or 0x1af or 0x84 or 0x85 or 0xa8 or 0xa9 or 0x1c0 or 0x1c1 or 0x1b0 or 0x1b1:
                return new FlagEffects(0, all);
            case >= 0x70 and <= 0x7f or >= 0x180 and <= 0x18f or >= 0x140 and <= 0x14f or >= 0x190 and <= 0x19f:
                return new FlagEffects(Condition(op & 15), 0);
            case 0xc0 or 0xc1 or 0xd0 or 0xd1:
                int count = (op < 0xd0 ? (int)i.Immediate : 1) & (i.OperandSize == 8 && (op & 1) != 0 ? 63 : 31);
                return count == 0 ? default
                    : digit < 2 ? new FlagEffects(0, Flags.Carry | Flags.Overflow)
                    : digit < 4 ? new FlagEffects(Flags.Carry, Flags.Carry | Flags.Overflow)
                    : new FlagEffects(0, all);
            case 0x1a4 or 0x1ac:
                return ((int)i.Immediate & (i.OperandSize == 8 ? 63 : 31)) == 0 ? default : new FlagEffects(0, all);
            case 0x1a5 or 0x1ad:
            case 0xd2 or 0xd3:
                // A zero count leaves them all.
                return new FlagEffects(all, 0);
            case 0xf6 or 0xf7:
                // The interpreter leaves the flags of a division alone, so that they are not lost here either.
                return digit switch { 2 or 6 or 7 => default, _ => new FlagEffects(0, all) };
            case >= 0xd8 and <= 0xdf when !UsesFlags(i):
                return default;
            case 0x9c:
                return new FlagEffects(all, 0);
            case 0xfa or 0xfb or 0xfc or 0xfd or 0x8c or 0x101 or 0x120 or 0x131 or 0x1ae or 0xa4 or 0xa5 or 0xaa or 0xab:
                return default;
            case 0x105 or 0x107:
                return new FlagEffects(all, 0);
            case 0x1c7 when digit == 1:
                return new FlagEffects(0, Flags.Zero);
            case 0xfe or 0xff:
                return digit < 2 ? new FlagEffects(0, all & ~Flags.Carry) : default;
            case 0x1a3 or 0x1ab or 0x1b3 or 0x1bb or 0x1ba:
                return new FlagEffects(0, Flags.Carry);
            case 0xf5:
                return new FlagEffects(Flags.Carry, Flags.Carry);
            case 0xf8 or 0xf9:
                return new FlagEffects(0, Flags.Carry);
            default:
                return new FlagEffects(all, 0);
        }
    }

    // Opcodes of vector instructions, and of MOVBE, CRC32 and MOVNTI: whatever their prefixes, they leave the status flags alone.
    private static bool IsVector(int op) => op switch
    {
        (>= 0x110 and <= 0x117) or (>= 0x128 and <= 0x12f) => true,
        (>= 0x150 and <= 0x177) or (>= 0x17c and <= 0x17f) => true,
        (>= 0x1c2 and <= 0x1c6) or (>= 0x1d0 and <= 0x1fe) => true,
        (>= 0x200 and <= 0x241) or (>= 0x246 and <= 0x247) or (>= 0x258 and <= 0x25a) or (>= 0x278 and <= 0x279) => true,
        (>= 0x28c and <= 0x2df) or 0x2f0 or 0x2f1 => true,
        (>= 0x300 and <= 0x363) or 0x3cc or 0x3df or 0x3f0 => true,
        _ => false,
    };

    // FCMOVcc and FCOMI with its kin.
    private static bool UsesFlags(in Instruction i)
    {
        byte op = (byte)i.Opcode;
        return !i.IsMemory && (Fpu.X87Table.ReadsFlags(op, i.ModRm) || Fpu.X87Table.WritesFlags(op, i.ModRm));
    }

    /// <summary>Flags that a condition tests.</summary>
    public static uint Condition(int condition) => (condition >> 1) switch
    {
        0 => Flags.Overflow,
        1 => Flags.Carry,
        2 => Flags.Zero,
        3 => Flags.Carry | Flags.Zero,
        4 => Flags.Sign,
        5 => Flags.Parity,
        6 => Flags.Sign | Flags.Overflow,
        _ => Flags.Sign | Flags.Overflow | Flags.Zero,
    };

    private static FlagEffects Arithmetic(int operation) => new(operation is 2 or 3 ? Flags.Carry : 0, Flags.Status);
}
